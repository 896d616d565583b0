/** Times of a series, and the grid on which they lie: `model/series/times.py` and `client/sine_client/frequency.py`.
 *
 * Dates are whole microseconds since 1970: `at` in UTC, and `wall` as the clock on the wall shows them.
 */

import { MISSING, NUMBER } from "./table.js";

export const DATE =
  /^(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2}|[+-]\d{2})?$/;

const DATE_ALLOWED = "a date or a date and time is needed, like 2026-01-31 or 2026-01-31 12:00";
const NUMBER_ALLOWED = "a number is needed, like the other times";
const SECOND = 1e6;
export const DAY = 86_400 * SECOND;
const FREQUENT = 12 * DAY; // halves of months are farther apart
const DURATIONS = [["day", DAY], ["h", 3600 * SECOND], ["min", 60 * SECOND], ["s", SECOND], ["ms", 1000], ["µs", 1]];

/** Return the times of a column: `at` and, for dates, `wall`. Throw a SeriesError if a row has none. */
export function timesOf(table, name) {
  const cells = table.columns.get(name).map((cell) => (MISSING.includes(cell ?? "") ? null : cell));
  const numbers = cells.map((cell) => (cell !== null && NUMBER.test(cell) ? Number(cell) : NaN));
  const measured = numbers.filter((number) => !Number.isNaN(number)).length;
  if (measured >= cells.filter((cell) => cell !== null).length / 2) {
    return { at: complete(table, name, numbers, NUMBER_ALLOWED), wall: null };
  }
  const dates = cells.map((cell) => (cell === null ? null : dateOf(cell)));
  const wall = complete(table, name, dates.map((date) => date?.wall ?? NaN), DATE_ALLOWED);
  const without = dates.findIndex(({ offset }) => offset === null);
  if (dates.every(({ offset }) => offset === null)) return { at: wall, wall };
  if (without >= 0) {
    const shown = table.shown(name, without);
    throw table.error(without, `${name} is ${shown}, without an offset from UTC, which other times have.`);
  }
  return { at: dates.map(({ wall: clock, offset }) => clock - offset), wall };
}

function complete(table, name, numbers, allowed) {
  const index = numbers.findIndex((number) => !Number.isFinite(number));
  if (index >= 0) throw table.error(index, `${name} is ${table.shown(name, index)}; ${allowed}.`);
  return numbers;
}

function dateOf(text) {
  const [, year, month, day = 1, hour = 0, minute = 0, second = 0, fraction = "", zone] = DATE.exec(text) ?? [];
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  const isDate = date.getUTCMonth() === Number(month) - 1 && hour < 24 && minute < 60 && second < 60;
  if (year === undefined || !isDate) return null;
  const [, sign = "+", hours = 0, minutes = 0] = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone ?? "") ?? [];
  const clock = (3600 * hour + 60 * minute + Number(second)) * SECOND + Number(fraction.padEnd(6, "0").slice(0, 6));
  const offset = Number(`${sign}1`) * (3600 * hours + 60 * Number(minutes ?? 0)) * SECOND;
  return { wall: date.getTime() * 1000 + clock, offset: zone === undefined ? null : offset };
}

/**
 * Return the grid with the fewest missing times on which ascending times lie: `positions` from 0, `step` and `unit`,
 * `apart` for people, and `missing`. Times on no grid have the `index` of the first one off, and `why`.
 */
export function gridOf(times) {
  if (times.at.length < 2) return grid(times.at.map(() => 0), times.at[0] ?? 0, 1, times.wall ? "day" : "number", "");
  if (times.wall === null && !times.at.every(Number.isSafeInteger)) return measuredGrid(times.at);
  let best = null;
  for (const [counts, unit, clock] of waysToCount(times)) {
    const apart = differences(counts);
    const step = usual(apart);
    if (!apart.every((count) => count > 0 && count % step === 0)) continue;
    const found = grid(counts.map((count) => (count - counts[0]) / step), counts[0], step, unit, many(step, unit), clock);
    if (best === null || found.missing < best.missing) best = found;
    if (best.missing === 0) break;
  }
  if (best !== null) return best;
  const apart = differences(times.at);
  const step = usual(apart);
  const index = apart.findIndex((count) => count % step !== 0);
  const unit = times.wall ? "us" : "number";
  return { index: index + 1, apart: many(apart[index], unit), step: many(step, unit) };
}

const grid = (positions, first, step, unit, apart, clock = 0) => ({
  positions, first, step, unit, apart, clock, missing: positions.length > 0 ? positions.at(-1) + 1 - positions.length : 0,
});

/** Yield each way to count times in which they have whole numbers, its unit, and the time of day. */
function* waysToCount({ at, wall }) {
  if (wall === null) return yield [at, "number", 0];
  const frequent = least(differences(at)) < FREQUENT;
  if (frequent) yield [at, "us", 0];
  const days = wall.map((time) => Math.floor(time / DAY));
  const clocks = wall.map((time, index) => time - days[index] * DAY);
  const clock = usual(clocks);
  const shifts = wall.some((time, index) => time - at[index] !== wall[0] - at[0]);
  // Some zones put clocks forward at midnight. Their day then begins at one o'clock.
  const tolerance = shifts ? 3600 * SECOND : 0;
  const dates = clocks.every((time) => Math.abs(time - clock) <= tolerance);
  if (!frequent) {
    if (dates) yield* months(days, clock);
    yield [at, "us", 0];
  }
  if (shifts) yield dates ? [days, "day", clock] : [wall, "us", 0];
  if (dates && days.every((day) => weekday(day) < 5)) {
    yield [days.map((day) => 5 * Math.floor((day + 3) / 7) + weekday(day)), "business day", clock];
  }
}

function* months(days, clock) {
  const dates = days.map((day) => new Date((day * DAY) / 1000));
  const numbers = dates.map((date) => 12 * (date.getUTCFullYear() - 1970) + date.getUTCMonth());
  const ofMonth = dates.map((date) => date.getUTCDate());
  const lengths = numbers.map(lengthOfMonth);
  const last = -least(ofMonth.map((day) => -day));
  // The 31st of a short month is its last day.
  if (ofMonth.every((day, index) => day === Math.min(last, lengths[index]))) yield [numbers, "month", { last, clock }];
  const [one, two] = least(ofMonth) === 1 ? [1, lengths.map(() => 15)] : [15, lengths];
  if (ofMonth.every((day, index) => day === one || day === two[index])) {
    yield [numbers.map((number, index) => 2 * number + (ofMonth[index] === two[index] ? 1 : 0)), "half month", { one, clock }];
  }
}

/** Monday is 0. 1970 began on a Thursday. */
const weekday = (day) => (((day + 3) % 7) + 7) % 7;

export const lengthOfMonth = (number) => new Date(Date.UTC(1970, number + 1, 0)).getUTCDate();

/** Return the grid of times that are floats, which are rounded to the resolution of the largest. */
function measuredGrid(at) {
  const apart = differences(at);
  const spacing = 2 ** -52 * -least(at.map((time) => -Math.abs(time)));
  const step = Math.max(apart.toSorted((a, b) => a - b)[Math.floor(apart.length / 2)], spacing);
  const tolerance = 1e-6 * step + 2 * spacing;
  const steps = apart.map((length) => Math.round(length / step));
  const off = apart.findIndex(
    (length, index) => steps[index] < 1 || Math.abs(length - steps[index] * step) > tolerance * Math.max(steps[index], 1),
  );
  if (off >= 0) return { index: off + 1, apart: precise(apart[off]), step: precise(step) };
  let sum = 0;
  return grid([0, ...steps.map((count) => (sum += count))], at[0], step, "number", precise(step));
}

const precise = (number) => String(Number(number.toPrecision(12)));

const differences = (numbers) => numbers.slice(1).map((number, index) => number - numbers[index]);

/** Return the smallest number. A series may have more values than a function may have arguments. */
const least = (numbers) => numbers.reduce((low, number) => Math.min(low, number), Infinity);

/** Return the most common number, and the smallest if several are. */
function usual(numbers) {
  const counts = new Map();
  for (const number of numbers) counts.set(number, (counts.get(number) ?? 0) + 1);
  return [...counts].reduce((best, next) => (next[1] > best[1] || (next[1] === best[1] && next[0] < best[0]) ? next : best))[0];
}

/** Return a number of units for people. */
function many(count, unit) {
  if (unit === "number") return precise(count);
  if (unit === "us") {
    const [name, size] = DURATIONS.find(([, length]) => count % length === 0);
    [count, unit] = [count / size, name];
  } else if (unit === "month" && count % 12 === 0) {
    [count, unit] = [count / 12, "year"];
  }
  const plural = count !== 1 && ["day", "month", "half month", "business day", "year"].includes(unit) ? "s" : "";
  return `${count} ${unit}${plural}`;
}
