/** The two plots of a run: its values and, below them, the errors or the intervals, if known. */

import { number, Run } from "./run.js";

const { uPlot } = globalThis;

/** At most this many last steps are drawn. With more, a wave would look like a block of colour. */
export const WINDOW = 1200;

/** With at least this many pixels between two values, each value is drawn as a point. */
const POINTS_FROM = 9;

export class Plot {
  ranges = { x: [0, 1], y: [-1, 1], off: [-1, 1] };
  frozen = false;
  run = null;
  span = [0, 0];
  now = null;
  frame = null;

  /** Call `hovered(step)` with the step below the mouse, or undefined. */
  constructor(element, difference, hovered) {
    this.element = element;
    this.difference = difference;
    this.name = difference.previousElementSibling;
    const x = { time: false, range: () => this.ranges.x };
    const drawClear = [(u) => this.drawBoundary(u)];
    this.main = chart(element, {
      axes: axes(element, 36, () => this.run),
      series: [
        {},
        line("--truth", 5),
        line("--ink", 1.75, wide),
        END,
        END,
        { ...line("--muted", 1.25), dash: [5, 4] },
        line("--accent", 1.75),
      ],
      bands: [{ series: [3, 4], fill: paint("--band") }],
      scales: { x, y: { range: () => this.ranges.y } },
      hooks: { drawClear, setCursor: [(u) => hovered(u.data[0][u.cursor.idx])] },
    });
    this.small = chart(difference, {
      axes: axes(difference, 20),
      series: [{}, END, END, line("--accent", 1.5)],
      bands: [{ series: [1, 2], fill: paint("--band") }],
      scales: { x, y: { range: () => this.ranges.off } },
      hooks: { drawClear },
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.run));
  }

  /** Draw the current state of `run` at the next frame. */
  show(run) {
    this.run = run;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw(this.run);
    });
  }

  /** Show a stroke, with the scales fixed from its start. `values` has holes at steps without a value. */
  sketch(values) {
    this.frozen = true;
    this.show(new Run({ values }));
  }

  /** Hide the cursor. */
  leave() {
    for (const plot of [this.main, this.small]) plot.setCursor({ left: -10, top: -10 });
  }

  /** The step and the value at a point of the screen. */
  at({ clientX, clientY }) {
    const box = this.main.over.getBoundingClientRect();
    return { step: this.main.posToVal(clientX - box.left, "x"), value: this.main.posToVal(clientY - box.top, "y") };
  }

  draw(run) {
    const given = run.values.length;
    const end = given + run.forecast.length;
    if (!this.frozen) this.span = spanOf(run, end);
    const [first, last] = this.span;
    const steps = Array.from({ length: last - first }, (_, index) => first + index);
    const points = steps.map((step) => run.at(step));
    const column = (read) => points.map((point) => defined(read(point)));
    const columnOf = (name) => column((point) => point[name]);
    const [values, truth, naive, high, low] = ["given", "truth", "naive", "high", "low"].map(columnOf);
    // The forecast starts at the last given value, so both form one line in two colours.
    const forecast = column((point) => point.forecast);
    if (end > given && given > first) forecast[given - 1 - first] = run.values.at(-1);
    const off = column((point) => point.forecast - point.truth);
    const above = column((point) => point.high - point.forecast);
    const below = column((point) => point.low - point.forecast);
    if (!this.frozen) {
      const figure = this.element.parentElement;
      this.ranges = {
        x: [first, Math.max(last - 1, first + 1)],
        y: padded(around([values, truth, naive, forecast], [low, high])),
        off: padded(extent([off, above, below])),
      };
      figure.classList.toggle("with-truth", run.truth !== null);
      figure.classList.toggle("with-naive", run.naive !== null);
      figure.classList.toggle("with-band", run.low.length > 0);
      this.difference.hidden = this.name.hidden = end === given || (run.truth === null && run.low.length === 0);
      this.name.textContent = run.truth ? "Forecast minus truth" : "Interval around the forecast";
    }
    this.now = last > given && given > first ? given - 0.5 : null;
    this.main.setData([steps, truth, values, high, low, naive, forecast]);
    this.small.setData([steps, above, below, off]);
  }

  /** Draw a line between the given values and the forecast. */
  drawBoundary(u) {
    if (this.now === null) return;
    const x = Math.round(u.valToPos(this.now, "x", true));
    u.ctx.fillStyle = style("--line");
    u.ctx.fillRect(x, u.bbox.top, Math.max(1, Math.round(devicePixelRatio)), u.bbox.height);
  }
}

function chart(element, options) {
  const plot = new uPlot(
    {
      width: element.clientWidth || 300,
      height: element.clientHeight || 100,
      legend: { show: false },
      padding: [8, 24, 4, 0],
      cursor: { drag: { x: false, y: false }, y: false, points: { show: false }, sync: { key: "steps" } },
      ...options,
    },
    options.series.map(() => []),
    element,
  );
  new ResizeObserver(() => {
    if (element.clientWidth > 0) plot.setSize({ width: element.clientWidth, height: element.clientHeight });
  }).observe(element);
  return plot;
}

/** Return the axes: values on the left and, if `run()` is given, its steps or times at the bottom. */
function axes(element, space, run) {
  const axis = { stroke: paint("--muted"), font: `12px ${getComputedStyle(element).fontFamily}`, ticks: { show: false } };
  const calendar = () => run?.()?.calendar;
  return [
    {
      ...axis,
      show: run !== undefined,
      size: 28,
      grid: { show: false },
      space: () => (calendar() ? TIME_SPACE : STEP_SPACE),
      incrs: () => calendar()?.strides ?? STEPS,
      splits: (_, __, low, high, stride) => {
        const base = (calendar()?.phase(stride) ?? 0) - (run?.()?.first ?? 0);
        const from = Math.ceil((low - base) / stride) * stride + base;
        return Array.from({ length: Math.floor((high - from) / stride) + 1 }, (_, index) => from + index * stride);
      },
      values: (_, steps, __, ___, stride) => steps.map((step) => run?.()?.tick(step, stride) ?? ""),
    },
    {
      ...axis,
      size: 64,
      space,
      grid: { stroke: paint("--line"), width: 1 },
      values: (_, ticks) => ticks.map(number),
    },
  ];
}

/** Pixels between the labels of the axis. */
const [STEP_SPACE, TIME_SPACE] = [50, 96];

const STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((unit) => [unit, 2 * unit, 5 * unit]);

const END = { width: 0, points: { show: false } };

const line = (name, width, points = false) => ({
  stroke: paint(name),
  width,
  points: { show: points, size: 5, fill: paint(name) },
});

const wide = (u) => u.valToPos(1, "x") - u.valToPos(0, "x") > POINTS_FROM;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

const paint = (name) => () => style(name);

/** Return the first drawn step and the one after the last, with room for the steps still to come. */
function spanOf(run, end) {
  const expected = run.ended ? 0 : Math.min(run.values.length + (run.steps || 0), WINDOW);
  const last = Math.max(end, expected);
  return [Math.max(last - WINDOW, 0), last];
}

const defined = (value) => (Number.isFinite(value) ? value : null);

function extent(columns) {
  let [low, high] = [Infinity, -Infinity];
  for (const column of columns) {
    for (const value of column) {
      if (value !== null && value < low) low = value;
      if (value !== null && value > high) high = value;
    }
  }
  return low > high ? [-1, 1] : [low, high];
}

/** Return the range of the lines, with as much of the band as leaves them a third of the height. */
function around(lines, band) {
  const [low, high] = extent(lines);
  const [lowest, highest] = extent([...lines, ...band]);
  const room = high - low || Infinity;
  return [Math.max(lowest, low - room), Math.min(highest, high + room)];
}

function padded([low, high]) {
  const pad = 0.08 * (high - low) || 0.1 * Math.abs(high) || 1;
  return [low - pad, high + pad];
}
