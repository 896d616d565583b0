/** One forecast: the given values, the values received so far, and notes about them. */

/** The title of all warnings. */
export const MISTRUST = "Not to be trusted";

export class Run {
  prediction = undefined;
  warnings = []; // sentences: the reasons to mistrust the forecast
  fit = null; // the model's errors on the given values, if they are known
  forecast = [];
  low = [];
  high = [];
  body = undefined; // body of the request for the rollout
  notes = []; // sentences
  ended = false;

  /** `truth` is a function of the step, or null if the truth is unknown. */
  constructor(values, truth, steps) {
    this.values = values;
    this.truth = truth;
    this.steps = steps;
  }

  /** Add the warnings of an answer that are not known yet. */
  warn(warnings = []) {
    this.warnings = [...new Set([...this.warnings, ...warnings.map(sentence)])];
  }

  /** Append the next part of the rollout, as the service sends it. */
  append({ values, intervals }) {
    this.forecast.push(...values);
    if (intervals) {
      const [low, high] = Object.values(intervals); // one level has two bounds: lo-95, hi-95
      this.low.push(...low);
      this.high.push(...high);
    }
  }

  /** The truth at step `index` of the forecast, if it is known. */
  trueAt(index) {
    return this.truth?.(this.values.length + index);
  }

  /** Forecast minus truth at each step so far; empty if the truth is unknown. */
  differences() {
    return this.truth ? this.forecast.map((value, index) => value - this.trueAt(index)) : [];
  }

  /** All values at a step, counted from the first given value. */
  at(step) {
    const index = step - this.values.length;
    return {
      given: this.values[step],
      forecast: this.forecast[index],
      truth: this.truth?.(step),
      low: this.low[index],
      high: this.high[index],
    };
  }

  /** Describe the plots in words. */
  summary() {
    const sentences = this.warnings.length > 0 ? [`${MISTRUST}.`] : [];
    sentences.push(`${counted(this.values.length, "value")} given, ${span(this.values)}.`);
    if (this.forecast.length > 0) {
      sentences.push(`${counted(this.forecast.length, "value")} forecast, ${span(this.forecast)}${this.quality()}.`);
    }
    if (this.fit) sentences.push(this.misses());
    return [...sentences, ...this.notes].join(" ");
  }

  quality() {
    let text = "";
    if (this.truth) text += `, at most ${short(largest(this.differences()))} off the truth`;
    if (this.low.length > 0) {
      const half = (index) => short((this.high.at(index) - this.low.at(index)) / 2);
      text += `; the 95 % interval is ±${half(0)} at first and ±${half(-1)} at the end`;
    }
    return text;
  }

  /** Describe the model's errors on the given values, from which the width of the interval follows. */
  misses() {
    const { values, residual, ratio } = this.fit;
    let text = `The model missed the last ${values} given values by ${short(residual)} on average`;
    text += `, ${short(ratio)} times the expected error`;
    if (this.low.length === 0) return `${text}.`;
    const doubt = this.warnings.length > 0 ? ", but was not calibrated for such values" : "";
    return `${text}; the interval follows from that${doubt}.`;
  }
}

const most = (digits) => new Intl.NumberFormat("en", { maximumSignificantDigits: digits, useGrouping: false });
const [precise, rough, whole] = [most(5), most(2), new Intl.NumberFormat("en", { maximumFractionDigits: 0 })];
const written = (format, value) => format.format(value).replace("-", "\u2212");

/** Format a value with the digits that single precision supports. */
export const number = (value) => written(precise, value);

/** Format a value with few digits, to show its size. */
export const short = (value) => written(rough, value);

/** Format a count with commas between groups of three digits. */
export const grouped = (value) => whole.format(value);

const counted = (many, what) => `${grouped(many)} ${what}${many === 1 ? "" : "s"}`;

/** Format a text of the service as a sentence. */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

function span(values) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  return low === high ? `all ${number(low)}` : `from ${number(low)} to ${number(high)}`;
}
