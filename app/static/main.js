/** The page: it sends the values of the controls to the service and shows the answers. */

import * as api from "./api.js";
import { Controls } from "./controls.js";
import { drawing } from "./draw.js";
import { Plot, WINDOW } from "./plot.js";
import { grouped, MISTRUST, number, Run, short } from "./run.js";
import { copy, snippets } from "./snippet.js";
import { showTable } from "./table.js";
import { Trouble } from "./trouble.js";

/** The level of the requested intervals, in per cent. */
const LEVEL = 95;

/** Results are announced to screen readers after no change for this long. */
const QUIET_MS = 400;

/** A button shows its success for this long. */
const DONE_MS = 1500;

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

/** Start a run with the values of the controls. A run in progress is aborted. */
async function start() {
  current?.abort();
  const controller = (current = new AbortController());
  const run = new Run(controls.values, controls.truth, controls.steps);
  $("cancel").disabled = false;
  try {
    served ??= offered(await api.models(controller.signal));
    model = describe(served.models.find(({ name }) => name === (controls.model ?? served.default)));
    run.notes = notes(run);
    run.body = { sequence: run.values, steps: run.steps, model: controls.model };
    if (hasIntervals(run)) run.body.level = [LEVEL];
    showCode(run.body);
    await forecast(run, controller.signal);
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

/** Request the next value and then the rollout, and show both as they arrive. */
async function forecast(run, signal) {
  const next = { sequence: run.values, model: run.body.model, diagnostics: true };
  const { prediction, warnings, fit, season } = await api.predict(next, signal);
  const began = performance.now();
  const parts = api.rollout(run.body, signal);
  let part = await parts.next();
  run.prediction = prediction;
  run.fit = fit;
  run.warn(warnings); // before the prediction is shown
  if (season > 1) run.notes.push(`The season is ${grouped(season)} steps.`);
  if (!fit && hasIntervals(run) && !controls.clean) {
    run.notes.push("The interval is that of sequences like those that the model learned from; others can be farther off.");
  }
  $("first-ms").textContent = milliseconds(performance.now() - began); // until the browser reports it at the end
  $("expected").textContent = grouped(run.steps);
  for (; !part.done; part = await parts.next()) {
    run.append(part.value);
    $("rate").textContent = grouped((1000 * run.forecast.length) / (performance.now() - began));
    $("so-far").textContent = grouped(run.forecast.length);
    show(run);
  }
  run.warn(part.value.warnings);
  if (part.value.finish_reason === "diverged") run.notes.push("The rollout stopped being finite, and ends there.");
}

function show(run) {
  shown = run;
  plot.show(run);
  showWarnings(run.warnings);
  $("next").textContent = run.prediction === undefined ? "" : number(run.prediction);
  const truth = run.trueAt(0);
  $("next-truth").textContent =
    run.prediction === undefined || truth === undefined
      ? "\u00a0"
      : `truth ${number(truth)}, off by ${short(Math.abs(run.prediction - truth))}`;
}

/** Show the warnings above the next value, at its size. */
function showWarnings(warnings) {
  const parts = warnings.length > 0 ? [made("strong", MISTRUST), ...warnings.map((text) => made("p", text))] : [];
  $("warning").replaceChildren(...parts);
  $("warning").hidden = parts.length === 0;
}

function finish(run) {
  current = null;
  run.ended = true;
  if (document.activeElement === $("cancel")) $("run").focus();
  $("cancel").disabled = true;
  if (run.values.length + run.forecast.length > WINDOW) run.notes.push(`Drawn are the last ${grouped(WINDOW)} steps.`);
  show(run);
  if (run.prediction === undefined) {
    for (const id of ["predict-ms", "first-ms", "rate", "so-far"]) $(id).textContent = "";
  }
  $("summary").textContent = run.summary();
  clearTimeout(announcement);
  announcement = setTimeout(() => {
    $("status").textContent = [...run.warnings, `Next value ${$("next").textContent}.`, run.summary()].join(" ");
    if ($("values").open) showTable($("values"), run);
  }, QUIET_MS);
}

/** Notes about a forecast, as sentences. */
function notes(run) {
  const found = [];
  const [shortest, longest] = model.data.period ?? [0, Infinity];
  if (controls.period < shortest || controls.period > longest) {
    found.push(`The model has learned periods of ${shortest} to ${longest} samples only.`);
  }
  if (model.intervals && !hasIntervals(run)) {
    found.push(...whyNoIntervals(run));
  }
  return found;
}

function hasIntervals(run) {
  return Boolean(model.intervals) && whyNoIntervals(run).length === 0;
}

/** Return a sentence for each reason why a model with intervals has none for this run. */
function whyNoIntervals(run) {
  const { contexts, horizon, rollouts } = model.intervals;
  const highest = Math.floor((100 * rollouts) / (rollouts + 1)); // a higher level needs more calibration rollouts
  const reasons = [];
  if (LEVEL > highest) reasons.push(`Intervals of ${LEVEL} % are not known: this model has levels up to ${highest} %.`);
  if (run.values.length < contexts[0]) reasons.push(`Intervals are known from ${contexts[0]} given values on.`);
  if (run.steps > horizon) reasons.push(`Intervals are known for up to ${grouped(horizon)} steps.`);
  return reasons;
}

function offered(list) {
  controls.offer(
    list.models.map(({ name }) => name),
    list.default,
    list.models.find(({ data }) => data.kind === "prior")?.name ?? list.default,
  );
  return list;
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
  for (const name of ["given", "forecast", "truth"]) {
    $(`at-${name}`).textContent = at[name] === undefined ? "" : number(at[name]);
  }
}

const made = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });
const milliseconds = (ms) => `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;

api.watchTimes((address, first, last) => {
  if (address === api.PREDICT) $("predict-ms").textContent = milliseconds(last);
  if (address === api.ROLLOUT) $("first-ms").textContent = milliseconds(first);
});
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
$("copy").addEventListener("click", async () => {
  const done = await copy($("code")).catch(() => "Not copied");
  $("copy").textContent = $("status").textContent = done;
  setTimeout(() => ($("copy").textContent = "Copy"), DONE_MS);
});
controls.begin();
