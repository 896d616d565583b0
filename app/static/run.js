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
  naive = null; // the seasonal naive forecast of a backtest
  scores = null; // of a backtest: the MASE of the forecast and of seasonal naive
  model = ""; // the name of the model
  body = undefined; // body of the request for the rollout
  notes = []; // sentences
  ended = false;
  first = 0; // the position of the first given value in its series

  /**
   * `truth` is a function of the step, or null if the truth is unknown; `calendar` has the times of the steps, or is
   * null; `id` is the name of the series in its file, or null; `held` values after those given are held back.
   */
  constructor({ values, truth = null, steps = 0, level = 95, calendar = null, id = null, held = 0 }) {
    Object.assign(this, { values, truth, steps, level, calendar, id, held });
  }

  /** Keep only the last `most` given values. */
  cut(most) {
    const dropped = Math.max(this.values.length - most, 0);
    if (dropped === 0) return;
    const { truth } = this;
    this.notes.push(`The model is given the last ${counted(most, "value")} of ${grouped(this.values.length)}.`);
    this.values = this.values.slice(dropped);
    this.truth = truth && ((step) => truth(step + dropped));
    this.first += dropped;
  }

  /** Return the time of a step, counted from the first given value: as the file has it, or its number. */
  label(step) {
    return this.calendar ? this.calendar.label(this.first + step) : this.first + step;
  }

  /** Return the label of a step on an axis whose labels are `stride` steps apart. */
  tick(step, stride) {
    return this.calendar ? this.calendar.tick(this.first + step, stride) : String(this.first + step);
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
      naive: this.naive?.[index],
      low: this.low[index],
      high: this.high[index],
    };
  }

  /** Describe the plots in words. */
  summary() {
    if (this.values.length === 0) return "";
    const sentences = this.warnings.length > 0 ? [`${MISTRUST}.`] : [];
    sentences.push(`${counted(this.values.length, "value")} given, ${span(this.values)}.`);
    if (this.forecast.length > 0) {
      sentences.push(`${counted(this.forecast.length, "value")} forecast, ${span(this.forecast)}${this.quality()}.`);
    }
    if (this.scores) sentences.push(this.comparison());
    if (this.fit) sentences.push(this.misses());
    return [...sentences, ...this.notes].join(" ");
  }

  quality() {
    let text = "";
    if (this.truth) text += `, at most ${short(largest(this.differences()))} off the truth`;
    if (this.low.length > 0) {
      const half = (index) => short((this.high.at(index) - this.low.at(index)) / 2);
      text += `; the ${this.level} % interval is ±${half(0)} at first and ±${half(-1)} at the end`;
    }
    return text;
  }

  /** Compare the forecast of a backtest with seasonal naive. */
  comparison() {
    const { forecast, naive, season } = this.scores;
    const held = `The last ${counted(this.held, "value")} were held back.`;
    if (forecast === undefined) return `${held} MASE is not known for values that repeat exactly, or for so few.`;
    const of = season > 1 ? `with season ${grouped(season)}` : "without a season";
    return `${held} MASE is ${score(forecast)} for ${this.model} and ${score(naive)} for seasonal naive ${of}.`;
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

/** Format a MASE. */
export const score = (value) => (value === undefined ? "\u2013" : value.toFixed(2));

/** Format a count with commas between groups of three digits. */
export const grouped = (value) => whole.format(value);

export const counted = (many, what) => `${grouped(many)} ${what}${many === 1 ? "" : "s"}`;

/** Format a text of the service as a sentence. */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

function span(values) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  return low === high ? `all ${number(low)}` : `from ${number(low)} to ${number(high)}`;
}
