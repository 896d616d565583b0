/** The table of the numbers behind the plots. */

import { grouped, number } from "./run.js";

/** The table has at most this many rows, to keep the page fast. The last given values fill at most half of them. */
const MOST = 500;

const COLUMNS = ["given", "forecast", "truth", "naive", "low", "high"];
const NAMES = { given: "Given", forecast: "Forecast", truth: "Truth", naive: "Seasonal naive", high: "to" };

/** Fill the table in `element` with the numbers of `run`. */
export function showTable(element, run) {
  const length = run.values.length + run.forecast.length;
  const first = Math.max(Math.min(run.values.length - MOST / 2, length - MOST), 0);
  const rows = Array.from({ length: Math.min(length, MOST) }, (_, row) => ({ step: first + row, ...run.at(first + row) }));
  const columns = COLUMNS.filter((name) => rows.some((row) => row[name] !== undefined));
  const table = document.createElement("table");
  const last = first + rows.length - 1;
  table.createCaption().textContent = `Steps ${grouped(first)} to ${grouped(last)} of ${grouped(length)}`;
  const head = table.createTHead().insertRow();
  head.append(...[run.calendar ? "Time" : "Step", ...columns.map((name) => NAMES[name] ?? `${run.level} % from`)].map((name) => heading("col", name)));
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    line.append(heading("row", run.label(row.step)));
    for (const name of columns) line.insertCell().textContent = row[name] === undefined ? "" : number(row[name]);
  }
  element.querySelector("[role=region]").replaceChildren(table);
}

function heading(scope, text) {
  return Object.assign(document.createElement("th"), { scope, textContent: text });
}
