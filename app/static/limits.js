/** The limits of a model that a forecast exceeds, in sentences. */

import { grouped } from "./run.js";

/** Return a sentence for each limit of `model` that `run` exceeds. `period` is that of a sine, or undefined. */
export function limits(model, run, period) {
  const [shortest, longest] = model.data.period ?? [0, Infinity];
  const isOutside = period < shortest || period > longest;
  const learned = `The model has learned periods of ${shortest} to ${longest} samples only.`;
  return [...(isOutside ? [learned] : []), ...(model.intervals ? whyNoIntervals(model, run) : [])];
}

/** Return whether the service can give the intervals of `run`. It refuses a request for others. */
export const hasIntervals = (model, run) => Boolean(model.intervals) && whyNoIntervals(model, run).length === 0;

/** Return a sentence for each reason why a model with intervals has none for this run. */
function whyNoIntervals(model, run) {
  const { contexts, horizon, rollouts } = model.intervals;
  const highest = Math.floor((100 * rollouts) / (rollouts + 1)); // a higher level needs more calibration rollouts
  const reasons = [];
  if (run.level > highest) {
    reasons.push(`Intervals of ${run.level} % are not known: this model has levels up to ${highest} %.`);
  }
  if (run.values.length < contexts[0]) reasons.push(`Intervals are known from ${contexts[0]} given values on.`);
  if (run.steps > horizon) reasons.push(`Intervals are known for up to ${grouped(horizon)} steps.`);
  return reasons;
}
