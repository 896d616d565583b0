/** From a table to one of its series: values in the order of time, gaps closed where that is asked for.
 *
 * The rules are those of `model/series/reading.py`, `rows.py` and `gaps.py`.
 */

import { Calendar } from "./calendar.js";
import { checkChoice } from "./columns.js";
import { MISSING, NUMBER, quoted, SeriesError } from "./table.js";
import { gridOf, timesOf } from "./times.js";

const LARGEST = 1e15;
const ALLOWED = `a finite number of at most 1e+15 in size is needed`;
const MOST_FILLED = 100; // values for each one that is given

/** Return the names of the series of a table, each with its rows. */
export function seriesOf(table, { value, id }) {
  if (id === undefined) return new Map([[value ?? "", Array.from({ length: table.height }, (_, row) => row)]]);
  const series = new Map();
  for (const [row, name] of table.columns.get(id).entries()) {
    if (name === null) throw table.error(row, `${id} is empty; every row needs one.`);
    if (!series.has(name)) series.set(name, []);
    series.get(name).push(row);
  }
  if (series.size === 0) throw new SeriesError("There are no rows.");
  return series;
}

/**
 * Read one series, whose rows are given. `fill` is "", "previous", "linear" or "zero".
 *
 * Returns its `values`, its `calendar` (null for a series without times), and how many values were `filled`.
 */
export function readSeries(table, choice, name, rows, fill = "") {
  checkChoice(table, choice);
  const { value, time, id } = choice;
  const whose = id === undefined ? "" : ` of series ${quoted(name)}`;
  const cells = rows.map((row) => table.columns.get(value)[row]);
  let given = cells.map((cell, index) => numberOf(table, value, cell, rows[index]));
  let positions = rows.map((_, index) => index);
  let calendar = null;
  if (time !== undefined && rows.length > 0) {
    const all = timesOf(table, time);
    const order = positions.toSorted((a, b) => all.at[rows[a]] - all.at[rows[b]]);
    rows = order.map((index) => rows[index]);
    given = order.map((index) => given[index]);
    const times = { at: rows.map((row) => all.at[row]), wall: all.wall && rows.map((row) => all.wall[row]) };
    checkOrder(table, rows, times, whose, id);
    const grid = checkedGrid(table, rows, times, time, whose);
    positions = grid.positions;
    if (fill === "" && grid.missing > 0) throw gap(table, rows, grid, whose);
    calendar = new Calendar(grid, rows.map((row) => table.columns.get(time)[row]), times);
  }
  if (fill === "") checkComplete(table, value, given, rows);
  const values = fill === "" ? given : filled(table, given, rows, positions, fill, whose);
  if (values.length === 0) throw new SeriesError(`There are no values${whose}.`);
  return { values, calendar, filled: values.length - given.filter((number) => !Number.isNaN(number)).length };
}

function numberOf(table, name, cell, row) {
  if (MISSING.includes(cell ?? "")) return NaN;
  const number = NUMBER.test(cell) ? Number(cell) : NaN;
  if (Math.abs(number) <= LARGEST) return number;
  throw table.error(row, `${name} is ${quoted(cell)}; ${ALLOWED}.`);
}

function checkOrder(table, rows, { at }, whose, id) {
  const same = at.findIndex((time, index) => index > 0 && time === at[index - 1]);
  if (same < 0) return;
  const several = id === undefined ? "; if the file has several series, choose the column that names them" : "";
  throw table.error(rows[same], `the same time${whose} as in row ${table.row(rows[same - 1])}${several}.`);
}

function checkedGrid(table, rows, times, time, whose) {
  const grid = gridOf(times);
  const first = grid.index ?? firstGap(grid);
  const form = first > 0 ? formOf(times) : null;
  if (form !== null) throw table.error(rows[first], `${time} is ${table.shown(time, rows[first])}; write dates like ${form}.`);
  if (grid.index !== undefined) {
    const after = `${grid.apart}${whose} after row ${table.row(rows[first - 1])}, where the usual step is ${grid.step}`;
    throw table.error(rows[first], `${after}; times have to be evenly spaced.`);
  }
  return grid;
}

const firstGap = ({ positions, missing }) =>
  missing > 0 ? positions.findIndex((position, index) => index > 0 && position - positions[index - 1] > 1) : 0;

/** Return the form that dates need, if all times are numbers like 202601 or 20260131. */
function formOf({ at, wall }) {
  if (wall !== null || !at.every(Number.isInteger)) return null;
  const isMonth = (number) => number >= 180000 && number < 220000 && number % 100 >= 1 && number % 100 <= 12;
  if (at.every(isMonth)) return "2026-01";
  return at.every((number) => isMonth(Math.floor(number / 100))) ? "2026-01-31" : null;
}

function gap(table, rows, grid, whose) {
  const first = firstGap(grid);
  const steps = `${grid.positions[first] - grid.positions[first - 1]} steps of ${grid.apart}`;
  const why = `${steps}${whose} after row ${table.row(rows[first - 1])}; times have to be evenly spaced: fill the gaps.`;
  return table.error(rows[first], why, { gap: true });
}

function checkComplete(table, value, given, rows) {
  const missing = given.findIndex(Number.isNaN);
  if (missing < 0) return;
  const shown = table.shown(value, rows[missing]);
  throw table.error(rows[missing], `${value} is ${shown}; ${ALLOWED}; gaps can be filled.`, { gap: true });
}

function filled(table, given, rows, positions, how, whose) {
  const count = given.filter((number) => !Number.isNaN(number)).length;
  const length = rows.length > 0 ? positions.at(-1) + 1 : 0;
  const wrong = (index, why) => table.error(rows.at(index), why, { gap: true });
  if (length > 0 && length - 1 >= (1 + MOST_FILLED) * count) {
    const most = `at most ${MOST_FILLED} values are filled for each that is given, and ${count} are given`;
    throw wrong(-1, `too many gaps${whose}: ${most}.`);
  }
  if (Number.isNaN(given[0]) && how !== "zero") throw wrong(0, `no value${whose} before this gap; ${how} needs one.`);
  if (Number.isNaN(given.at(-1)) && how === "linear") throw wrong(-1, `no value${whose} after this gap; linear needs one.`);
  const full = Array(length).fill(NaN);
  for (const [index, position] of positions.entries()) full[position] = given[index];
  let before = 0;
  for (let at = 0; at < length; at++) {
    if (!Number.isNaN(full[at])) before = at;
    else if (how === "zero") full[at] = 0;
    else if (how === "previous") full[at] = full[before];
    else {
      let after = at;
      while (Number.isNaN(full[after])) after++;
      full[at] = full[before] + ((full[after] - full[before]) * (at - before)) / (after - before);
      before = at;
    }
  }
  return full;
}
