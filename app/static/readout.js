/** The numbers above the plot: the next value with its warnings, the scores of a backtest, and the counters. */

import * as api from "./api.js";
import { grouped, MISTRUST, number, score, short } from "./run.js";

const $ = (id) => document.getElementById(id);
const made = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });
const milliseconds = (ms) => `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;

let kernel = null; // what it had executed when it was last asked

/** Show the times of answers, as the browser measures them. */
export function watch() {
  api.watchTimes((address, first, last) => {
    if (address === api.PREDICT) $("predict-ms").textContent = milliseconds(last);
    if (address === api.ROLLOUT) $("first-ms").textContent = milliseconds(first);
  });
}

/** Show a run as far as it has come. */
export function showNumbers(run) {
  const isKnown = run.prediction !== undefined;
  showWarnings(run.warnings);
  $("next").textContent = isKnown ? number(run.prediction) : "";
  $("next-time").textContent = isKnown && run.calendar ? `, ${run.label(run.values.length)}` : "";
  const truth = run.trueAt(0);
  $("next-truth").textContent =
    isKnown && truth !== undefined ? `truth ${number(truth)}, off by ${short(Math.abs(run.prediction - truth))}` : "\u00a0";
  $("expected").textContent = run.steps > 0 ? grouped(run.steps) : "\u2013";
  $("so-far").textContent = run.forecast.length > 0 ? grouped(run.forecast.length) : "";
  $("scores").hidden = run.scores === null;
  if (run.scores === null) return;
  $("score-model").textContent = run.model;
  $("mase").textContent = score(run.scores.forecast);
  $("mase-naive").textContent = score(run.scores.naive);
}

/** Empty the counters of a run that has no answer. */
export function showNoTimes() {
  for (const id of ["predict-ms", "first-ms", "rate"]) $(id).textContent = "";
}

/** Show how many steps per second the service's kernel has executed since this was last asked. */
export async function showKernel() {
  const before = kernel;
  kernel = await api.kernel().catch(() => null); // the metrics may be for others
  if (before === null || kernel === null || kernel.seconds <= before.seconds) return;
  $("rate").textContent = grouped((kernel.steps - before.steps) / (kernel.seconds - before.seconds));
}

/** Show the warnings above the next value, at its size. */
function showWarnings(warnings) {
  const parts = warnings.length > 0 ? [made("strong", MISTRUST), ...warnings.map((text) => made("p", text))] : [];
  $("warning").replaceChildren(...parts);
  $("warning").hidden = parts.length === 0;
}
