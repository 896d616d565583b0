/** Makes sequences from a sine with noise or from text with numbers. */

import { SeriesError } from "./series/table.js";

/** Values are rounded to this fraction of the amplitude, so that the request is readable. */
const STEP = 1e-6;

/** Return `count` values of a sine, and its true value as a function of the step. */
export function sine({ period, amplitude, noise, count }) {
  const truth = (step) => amplitude * Math.sin((2 * Math.PI * step) / period);
  const normal = normals();
  const values = Array.from({ length: count }, (_, step) =>
    rounded(truth(step) + amplitude * noise * normal(), amplitude),
  );
  return { values, truth };
}

/** Round `value` to as many digits as a wave of this size needs. */
export function rounded(value, size) {
  const digits = Math.min(Math.max(Math.round(-Math.log10(STEP * (size || 1))), 0), 100);
  return Number(value.toFixed(digits)) + 0; // + 0 makes -0 a 0
}

/** Return the numbers in a text, with any separators. Throw a SeriesError that says what is wrong. */
export function numbers(text) {
  const words = text.replace(/[\u2212\u2013]/g, "-").replace(/[[\](){}]/g, " ").trim();
  if (words === "") throw new SeriesError("Paste at least one number.");
  let separator = /[\s,]+/;
  if (words.includes(";")) {
    separator = /[\s;]+/;
  } else if (/\s/.test(words) && words.split(/\s+/).every((word) => /^[-+]?\d+,\d+$/.test(word))) {
    throw new SeriesError("These commas could be decimal points or stand between numbers. Write 0.5, or put ; between them.");
  }
  const tokens = words.split(separator).filter((token) => token !== "");
  return tokens.map((token, index) => {
    const number = separator.test(",") ? token : token.replace(",", ".");
    const isNumber = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(number);
    if (isNumber && Number.isFinite(Number(number))) return Number(number);
    const shown = token.length > 20 ? `${token.slice(0, 20)}…` : token;
    const wrong = isNumber ? "is too large" : "is not a number";
    throw new SeriesError(`Value ${index + 1} of ${tokens.length} ${wrong}: “${shown}”.`);
  });
}

/** Return draws from the normal distribution, always the same, so that a slider changes only one thing. */
function normals() {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
