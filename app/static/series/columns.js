/** The columns of a table: recognised by the rules of `model/series/columns.py`.
 *
 * Where training asks for an option, such as `--time Month`, the page proposes that column and shows its choice.
 */

import { MISSING, NUMBER, SeriesError } from "./table.js";
import { DATE, gridOf } from "./times.js";

const TIMES = new Set(
  "ds date dates datetime date_time time times timestamp timestamps period t year".split(" "),
);
const IDS = new Set("id ids uid uuid key series sku item product store shop sensor meter".split(" "));
const MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec";
const LIKE_DATES = new RegExp( // 31.12.26, 12/31/2026, 2026Q1, 2026-W05, 2026 01, 12:30, Jan 2026
  `^(\\d{1,4}[-/.]\\d{1,2}[-/.]\\d{1,4}|\\d{4}[-/ ]?(w|q|\\d{2}$)|.*\\d:\\d{2}|(${MONTHS})[a-z]*[ .\\-/])`,
  "i",
);
const SAMPLE = 1000; // rows that are looked at to tell what a column holds

/** Return the names of the columns of values, times and names of series; undefined where there is none, or no clear one. */
export function recognised(table) {
  const others = new Set(table.names);
  const taken = (name) => {
    others.delete(name);
    return name;
  };
  const unless = (usual) => table.names.filter((name) => name !== "y" && name !== usual);
  const id = others.has("unique_id") ? taken("unique_id") : undefined;
  let time = others.has("ds") ? taken("ds") : undefined;
  time ??= taken(unless(id).find((name) => holdsTimes(table, name)));
  const found = id ?? taken(unless(time).find((name) => holdsIds(table, name, time !== undefined)));
  const value = others.has("y") ? "y" : others.size === 1 ? [...others][0] : onlyNumbers(table, others);
  return { value, time, id: found };
}

/** Check that a column of values is chosen, and that all columns are different. */
export function checkChoice(table, { value, time, id }) {
  const chosen = [value, time, id].filter((name) => name !== undefined);
  if (value === undefined) throw new SeriesError(`Choose the column of values. There are ${listed(table.names)}.`);
  if (new Set(chosen).size < chosen.length) throw new SeriesError("Values, times and names must be different columns.");
}

function onlyNumbers(table, names) {
  const named = [...names].filter((name) => !/^column_\d+$/.test(name)); // such as numbers of rows, which have no name
  const numeric = named.filter((name) => given(table, name).every((cell) => NUMBER.test(cell)));
  return numeric.length === 1 ? numeric[0] : undefined;
}

function holdsTimes(table, name) {
  if (TIMES.has(name.trim().toLowerCase())) return true;
  const texts = given(table, name).slice(0, SAMPLE);
  if (texts.length === 0) return false;
  return counts(table.columns.get(name)) || texts.every((text) => DATE.test(text) || LIKE_DATES.test(text));
}

/** Return whether the column has evenly spaced numbers in another order than that of the rows. */
function counts(cells) {
  if (cells.length < 2 || !cells.every((cell) => cell !== null && NUMBER.test(cell))) return false;
  const numbers = cells.map(Number);
  if (numbers.every((number, row) => row === 0 || number >= numbers[row - 1])) return false;
  const grid = gridOf({ at: numbers.toSorted((a, b) => a - b), wall: null });
  return grid.positions !== undefined && grid.missing === 0;
}

/** Return whether the column looks like names of series: several, each in several rows. */
function holdsIds(table, name, ordered) {
  const cells = table.columns.get(name);
  const different = new Set(cells).size;
  if (different <= 1 || different >= cells.length) return false;
  const last = name.trim().toLowerCase().split(/[^a-z0-9]+/).at(-1);
  if (IDS.has(last) || name.toLowerCase().endsWith("id")) return true;
  const texts = cells.filter((cell) => cell !== null);
  return !ordered && texts.length > 0 && texts.every((text) => !NUMBER.test(text) && !MISSING.includes(text));
}

const given = (table, name) => table.columns.get(name).filter((cell) => cell !== null && !MISSING.includes(cell));

const listed = (names) => names.map((name) => `'${name}'`).join(", ");
