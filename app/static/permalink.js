/** The page's link: it carries all choices in its fragment, which browsers do not send, and never the data. */

/** The controls whose values stand in the link where they are not those that the page begins with. */
const SIMPLE = ["period", "amplitude", "noise", "count", "level", "example"];

/** The numbers that a link may have, beside those of the simple controls. */
const NUMBERS = ["steps", "season", "value", "time", "id", "series", "fill"];

/** Return the address of the page with the values of the controls in `form` and further choices. */
export function linkOf(form, choices) {
  const { source, backtest } = form.elements;
  const chosen = new URLSearchParams();
  if (source.value !== "sine") chosen.set("source", source.value);
  for (const name of SIMPLE) {
    const element = form.elements[name];
    const usual = element.defaultValue ?? [...element.options].find((option) => option.defaultSelected)?.value ?? "";
    const isUsed = element.type !== "range" || source.value === "sine";
    if (isUsed && element.value !== usual) chosen.set(name, element.value);
  }
  if (backtest.checked) chosen.set("backtest", "1");
  for (const [name, value] of Object.entries(choices)) chosen.set(name, value);
  const link = new URL(location.href);
  link.hash = chosen.toString();
  return link.href;
}

/** Set the controls in `form` as a link says, and return the choices that wait for models or data. */
export function linked(form, fragment) {
  const chosen = Object.fromEntries(new URLSearchParams(fragment.slice(1)));
  const { source, backtest, steps, season } = form.elements;
  if ([...source].some(({ value }) => value === chosen.source)) source.value = chosen.source;
  for (const name of SIMPLE.filter((name) => name in chosen)) {
    const [element, before] = [form.elements[name], form.elements[name].value];
    element.value = chosen[name];
    if (element.value === "") element.value = before;
  }
  backtest.checked = chosen.backtest === "1";
  for (const name of NUMBERS) {
    if (/^\d{1,6}$/.test(chosen[name])) chosen[name] = Number(chosen[name]);
    else delete chosen[name];
  }
  if ("steps" in chosen) steps.value = chosen.steps;
  if ("season" in chosen) season.value = chosen.season;
  return chosen;
}
