/** The forecast as a CSV file, with the names of columns that statsforecast uses. */

const { Papa } = globalThis;

/** Return the CSV of a run. Its columns are the time or the step, the model, its interval and, of a backtest, the truth. */
export function csvOf(run) {
  const { model, level } = run;
  const rows = run.forecast.map((value, index) => ({
    ...(run.id !== null && { unique_id: run.id }),
    ds: run.label(run.values.length + index),
    [model]: value,
    ...(run.low.length > 0 && { [`${model}-lo-${level}`]: run.low[index], [`${model}-hi-${level}`]: run.high[index] }),
    ...(run.naive !== null && { SeasonalNaive: run.naive[index], y: run.trueAt(index) }),
  }));
  return `${Papa.unparse(rows, { newline: "\n" })}\n`;
}

/** Give the user a text as a file. */
export function download(name, text) {
  const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // the browser may still read it
}
