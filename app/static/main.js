/** The page: it sends the values of the controls to the service and shows the answers. */

import * as api from "./api.js";
import { heldBack, mase, seasonalNaive } from "./backtest.js";
import { Controls } from "./controls.js";
import { csvOf, download } from "./download.js";
import { drawing } from "./draw.js";
import { hasIntervals, limits } from "./limits.js";
import { Plot, WINDOW } from "./plot.js";
import * as readout from "./readout.js";
import { grouped, number, Run } from "./run.js";
import { copy, snippets } from "./snippet.js";
import { showTable } from "./table.js";
import { Trouble } from "./trouble.js";

/** Results are announced to screen readers after no change for this long. */
const QUIET_MS = 400;

/** A button shows its success for this long. */
const DONE_MS = 1500;

/** Longer sequences make the page ask the service how long they may be. */
const LONG = 1000;

const $ = (id) => document.getElementById(id);

const controls = new Controls($("controls"), start);
const plot = new Plot($("plot"), $("difference"), showValuesAt);
const trouble = new Trouble($("trouble"), start);
let served = null; // all models, as the service lists them
let model = null; // the model that forecasts
let body = {}; // body of the request whose code is shown
let shown = null;
let current = null; // the AbortController of the run in progress
let announcement = null;

/** Start a run with the values of the controls. A run in progress is aborted, and its forecast goes. */
async function start() {
  current?.abort();
  const controller = (current = new AbortController());
  const run = prepared();
  $("cancel").disabled = false;
  try {
    if (served === null) {
      served = await api.models(controller.signal);
      await readout.showKernel();
      if (controller !== current) return;
      controls.offer(served);
      if (controller !== current) return; // the link asks for an example, which has begun its own run
    }
    model = describe(served.models.find(({ name }) => name === (controls.model ?? served.default)));
    history.replaceState(null, "", controls.link);
    if (run.values.length > LONG) run.cut(await api.longestSequence(controller.signal));
    if (run.values.length > 0) await forecast(run, controller.signal);
    trouble.over();
  } catch (error) {
    if (controller !== current) return; // another run has taken its place
    if (controller.signal.aborted) {
      trouble.over();
      run.notes.push(`Cancelled after ${grouped(run.forecast.length)} of ${grouped(run.steps)} values.`);
    } else {
      served = null; // a restarted service may serve other models
      trouble.show(error);
    }
  }
  if (controller === current) finish(run);
}

/** Return a run that has not begun, without values if there are none that can be used. */
function prepared() {
  const { given, level, steps } = controls;
  if (given === null) return new Run({ values: [], level });
  const held = controls.backtest ? heldBack(given.values.length, steps) : 0;
  if (held === 0) return new Run({ ...given, level, steps });
  const values = given.values.slice(0, -held);
  const run = new Run({ ...given, values, truth: (step) => given.values[step], level, steps: held, held });
  if (held < steps) run.notes.push(`The backtest has ${grouped(held)} steps: half of the values.`);
  return run;
}

/** Request the next value and then the rollout, and show both as they arrive. */
async function forecast(run, signal) {
  const isSeasonal = model.architecture.inputs === "anchors";
  const common = { sequence: run.values, model: controls.model, season: isSeasonal ? controls.season : undefined };
  run.model = model.name;
  run.notes.push(...limits(model, run, controls.given.period));
  run.body = { ...common, steps: run.steps, ...(hasIntervals(model, run) && { level: [run.level] }) };
  showCode(run.body);
  const { prediction, warnings, fit, season } = await api.predict({ ...common, diagnostics: true }, signal);
  controls.showSeason(season, isSeasonal);
  const parts = api.rollout(run.body, signal);
  let part = await parts.next();
  run.prediction = prediction;
  run.fit = fit;
  run.warn(warnings); // before the prediction is shown
  if (season > 1) run.notes.push(`The season is ${grouped(season)} steps.`);
  if (!fit && hasIntervals(model, run) && !controls.given.clean) {
    run.notes.push("The interval is that of sequences like those that the model learned from; others can be farther off.");
  }
  if (run.held > 0) run.naive = seasonalNaive(run.values, seasonOf(), run.held);
  for (; !part.done; part = await parts.next()) {
    run.append(part.value);
    show(run);
  }
  run.warn(part.value.warnings);
  if (part.value.finish_reason === "diverged") run.notes.push("The rollout stopped being finite, and ends there.");
  if (run.held > 0) run.scores = scores(run);
}

/** Return the season that seasonal naive uses: the one in the field. */
const seasonOf = () => controls.season ?? controls.shownSeason ?? 1;

function scores(run) {
  const season = seasonOf();
  const truth = run.forecast.map((_, index) => run.trueAt(index));
  const of = (values) => mase(values.slice(0, truth.length), truth, run.values, season);
  return { forecast: of(run.forecast), naive: of(run.naive), season };
}

function show(run) {
  shown = run;
  plot.show(run);
  readout.showNumbers(run);
  $("band").textContent = `${run.level} % interval`;
  $("download").disabled = !run.ended || run.forecast.length === 0;
}

function finish(run) {
  current = null;
  run.ended = true;
  if (document.activeElement === $("cancel")) $("run").focus();
  $("cancel").disabled = true;
  if (run.values.length + run.forecast.length > WINDOW) run.notes.push(`Drawn are the last ${grouped(WINDOW)} steps.`);
  show(run);
  if (run.prediction === undefined) readout.showNoTimes();
  $("summary").textContent = run.summary();
  clearTimeout(announcement);
  announcement = setTimeout(() => {
    if (run.values.length > 0) {
      $("status").textContent = [...run.warnings, `Next value ${$("next").textContent}.`, run.summary()].join(" ");
    }
    if (run.prediction !== undefined) readout.showKernel();
    if ($("values").open) showTable($("values"), run);
  }, QUIET_MS);
}

function describe(info) {
  const { cell, hidden, layers } = info.architecture;
  $("model").textContent = [
    `${info.name} ${info.version}`,
    `${cell.toUpperCase()} of ${hidden} units${layers > 1 ? ` in ${layers} layers` : ""}`,
    `${info.runtime} on ${info.device}`,
    `sha256 ${info.digest.slice(0, 12)}`,
  ].join(" · ");
  return info;
}

function showCode(request) {
  body = request;
  const language = document.querySelector("[name=language]:checked").value;
  $("code").textContent = snippets[language](api.ROLLOUT, body, api.hasKey());
}

function showValuesAt(step) {
  const at = step === undefined || shown === null ? {} : shown.at(step);
  for (const name of ["given", "forecast", "truth", "naive"]) {
    $(`at-${name}`).textContent = at[name] === undefined ? "" : number(at[name]);
  }
  $("at-time").textContent = step !== undefined && shown?.calendar ? shown.label(step) : "";
}

/** Copy a text to the clipboard by a button, which shows the result. */
async function copyBy(button, label, element) {
  const done = await copy(element).catch(() => "Not copied");
  button.textContent = $("status").textContent = done;
  setTimeout(() => (button.textContent = label), DONE_MS);
}

readout.watch();
drawing(plot, {
  allowed: (pointer) => pointer !== "touch" || controls.source === "draw",
  drawn: (values) => controls.drawn(values),
  slipped: () => ($("status").textContent = "That was too short: keep the button down and draw a longer line."),
});
$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
$("draw-it").addEventListener("change", () => $("plot").scrollIntoView({ block: "nearest" }));
$("cancel").addEventListener("click", () => current?.abort());
$("values").addEventListener("toggle", () => $("values").open && showTable($("values"), shown));
$("call").addEventListener("change", () => showCode(body));
$("copy").addEventListener("click", () => copyBy($("copy"), "Copy", $("code").textContent));
$("link").addEventListener("click", () => copyBy($("link"), "Copy link", controls.link));
$("download").addEventListener("click", () => download("forecast.csv", csvOf(shown)));
controls.begin();
