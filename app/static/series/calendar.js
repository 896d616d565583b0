/** Labels of the times on a grid, also of times after its last: those of a forecast. */

import { DAY, lengthOfMonth } from "./times.js";

/** Steps between labelled times of an axis, by the unit of the grid. */
const STRIDES = {
  month: [1, 3, 6, 12, 24, 60, 120, 240, 600, 1200],
  "half month": [1, 2, 6, 12, 24, 48, 120, 240, 480],
};
const HOURS = [1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 672, 1344];
const ROUND = [1, 2, 5].flatMap((digit) => [1, 10, 100, 1e3, 1e4, 1e5].map((unit) => digit * unit)).sort((a, b) => a - b);

export class Calendar {
  /** `cells` are the times as the file has them, `times` what they mean, and `grid` what they lie on. */
  constructor(grid, cells, times) {
    this.grid = grid;
    this.form = formOf(cells.at(-1) ?? "");
    this.offset = times.wall === null ? 0 : times.wall.at(-1) - times.at.at(-1);
  }

  /** Return the time at a position of the grid, in the form of the file. */
  label(position) {
    const { unit, first, step, clock } = this.grid;
    const count = first + position * step;
    if (unit === "number") return String(Number(count.toPrecision(10)));
    return written(this.#wall(unit, count, clock), this.form);
  }

  /** Return a short label for an axis: years alone at a January. */
  tick(position, stride) {
    const label = this.label(position);
    const isYears = this.grid.unit === "month" && (stride * this.grid.step) % 12 === 0;
    return isYears ? label.slice(0, 4) : label.replace(/([T ]00:00(:00)?)?(Z|UTC|[+-]\d{2}:?\d{2})?$/, "");
  }

  /** Return the steps that labels may be apart. */
  get strides() {
    const { unit, step } = this.grid;
    if (unit === "us" && step % (3600 * 1e6) === 0 && step < DAY) return HOURS.map((hours) => hours * 3600e6 / step).filter(Number.isInteger);
    const units = STRIDES[unit];
    return units?.map((count) => count / step).filter(Number.isInteger) ?? ROUND;
  }

  /** Return a position from which labels are counted: a January, or a midnight, at or before 0. */
  phase(stride) {
    const { unit, first, step } = this.grid;
    if (unit === "number") return 0;
    const size = unit === "us" ? first + this.offset : first;
    const length = stride * step;
    const from = (((size % length) + length) % length) / step;
    return Number.isInteger(from) ? -from : 0;
  }

  #wall(unit, count, clock) {
    if (unit === "us") return count + this.offset;
    if (unit === "day") return count * DAY + clock;
    if (unit === "business day") return (7 * Math.floor(count / 5) - 3 + (((count % 5) + 5) % 5)) * DAY + clock;
    const month = unit === "month" ? count : Math.floor(count / 2);
    const second = clock.one === 1 ? 15 : lengthOfMonth(month);
    const day = unit === "month" ? Math.min(clock.last, lengthOfMonth(month)) : count % 2 === 0 ? clock.one : second;
    return Date.UTC(1970, month, day) * 1000 + clock.clock;
  }
}

/** Return the parts that a date of the file has, and what stands between them. */
function formOf(cell) {
  const [, separator = "-", day, between, second, zone = ""] =
    /^\d{4}([-/])\d{1,2}([-/]\d{1,2})?(?:([T ])[ ]*\d{1,2}:\d{2}(:\d{2})?)?.*?(Z|UTC|[+-]\d{2}:?\d{2}|[+-]\d{2})?$/.exec(cell) ?? [];
  return { separator, hasDay: day !== undefined, between, hasSecond: second !== undefined, zone };
}

function written(wall, { separator, hasDay, between, hasSecond, zone }) {
  const [date, clock] = new Date(wall / 1000).toISOString().split("T");
  const day = date.slice(0, hasDay ? 10 : 7).replaceAll("-", separator);
  const needsClock = between !== undefined || wall % DAY !== 0;
  return needsClock ? `${day}${between ?? " "}${clock.slice(0, hasSecond ? 8 : 5)}${zone}` : day;
}
