/** The controls: what is given, and how it is continued. Values come from sliders (a sine), a stroke or one's own data. */

import { Data, dropping } from "./data.js";
import { linked, linkOf } from "./permalink.js";
import { rounded, sine } from "./wave.js";

const PANELS = ["sine", "draw", "data"];

/** The horizon of a table that the user has not set one for. */
const STEPS_OF_TABLE = 24;

export class Controls {
  /**
   * The series: its `values`; a `truth`, a function of the step, or null; a sine's `period`; whether it is `clean`, a
   * sine without noise; a `calendar` of its times, or null; and the `id` of the series in its file, or null.
   *
   * Null while there is none that can be used.
   */
  given = null;

  /** The last series that could be used. */
  #usable = null;

  /** Whether the user has chosen the model. */
  hasChosen = false;

  /** Whether the user has set the number of steps. */
  hasSteps = false;

  /** Whether the user has told the season. Otherwise the field shows the one that was found. */
  hasSeason = false;

  /** The name of the model for each source of values. */
  suited = {};

  #wanted = {};
  #examples = {};

  /** Call `changed()` whenever there is something new to forecast, or no longer anything. */
  constructor(form, changed) {
    this.form = form;
    this.elements = form.elements;
    this.changed = changed;
    this.sliders = [...form.querySelectorAll("[type=range]")];
    this.models = form.querySelector("#models");
    const { source, steps, season, level, backtest, example, file, numbers } = this.elements;
    file.addEventListener("change", () => this.#forget());
    numbers.addEventListener("input", () => this.#forget());
    this.data = new Data(form, (given) => this.#take(given)); // which listens to both, too
    const noted = (element, flag) =>
      element.addEventListener("change", () => {
        this[flag] = element.value !== "";
        changed();
      });
    noted(this.elements["model-name"], "hasChosen");
    noted(steps, "hasSteps");
    noted(season, "hasSeason");
    for (const slider of this.sliders) slider.addEventListener("input", () => this.#pick());
    for (const radio of source) radio.addEventListener("change", () => this.#chosen());
    for (const element of [level, backtest]) element.addEventListener("change", () => changed());
    example.addEventListener("change", () => this.#example(example.value));
    dropping((file) => this.#dropped(file));
  }

  get source() {
    return this.elements.source.value;
  }

  get steps() {
    return this.elements.steps.valueAsNumber;
  }

  /** The level of the intervals, in per cent. */
  get level() {
    return Number(this.elements.level.value);
  }

  /** The season that the user has told, or undefined. */
  get season() {
    return this.hasSeason ? this.elements.season.valueAsNumber : undefined;
  }

  /** The season in the field: told, or found before for this series. Undefined if there is none yet. */
  get shownSeason() {
    return this.elements.season.valueAsNumber || undefined;
  }

  /** Whether the last steps are held back. */
  get backtest() {
    return this.source === "data" && this.elements.backtest.checked;
  }

  /** The name of the chosen model; undefined if there is only one. */
  get model() {
    return this.models.hidden ? undefined : this.elements["model-name"].value;
  }

  /** Offer models, each with its example. The user's choice stays if it is among them. */
  offer({ models, default: preferred }) {
    const [select, names] = [this.elements["model-name"], models.map(({ name }) => name)];
    const wanted = names.includes(this.#wanted.model) ? this.#wanted.model : undefined;
    this.hasChosen = wanted !== undefined || (this.hasChosen && names.includes(select.value));
    const chosen = wanted ?? (this.hasChosen ? select.value : preferred);
    select.replaceChildren(...names.map((name) => new Option(name, name, name === preferred, name === chosen)));
    this.models.hidden = names.length < 2;
    const forSeries = models.find(({ data }) => data.kind === "prior")?.name ?? preferred;
    this.suited = { sine: preferred, draw: forSeries, data: forSeries };
    this.#examples = Object.fromEntries(models.map(({ name, example }) => [name, example]));
    const shown = this.elements.example.value;
    const [none] = this.elements.example.options;
    const examples = names.map((name) => new Option(`Example of ${name}`, name, false, name === shown));
    this.elements.example.replaceChildren(none, ...examples);
    this.#suit();
    const { example } = this.#wanted;
    this.#wanted = {};
    if (example in this.#examples) this.#example(example, false);
  }

  /** Show the season that the service has found, and hide the field where nothing depends on it. */
  showSeason(found, isSeasonal) {
    const { season } = this.elements;
    this.form.querySelector("#seasons").hidden = !isSeasonal && this.source !== "data";
    if (!this.hasSeason && found !== undefined) season.value = found;
    this.form.querySelector("#season-from").value = this.hasSeason ? "(told)" : season.value && "(found)";
  }

  /** Begin with the values that the page shows, and with the choices of its link. */
  begin() {
    this.#wanted = linked(this.form, location.hash);
    this.hasSteps = "steps" in this.#wanted;
    this.hasSeason = "season" in this.#wanted;
    this.data.wanted = this.#wanted;
    this.#chosen();
  }

  /** Return the address of the page with all choices, and without the data. */
  get link() {
    const { model, data } = this;
    return linkOf(this.form, {
      ...(this.hasChosen && model && { model }),
      ...(this.hasSteps && { steps: this.elements.steps.value }),
      ...(this.hasSeason && { season: this.elements.season.value }),
      ...(this.source === "data" && data.chosen),
    });
  }

  /** Take the values of a stroke. */
  drawn(values) {
    this.elements.source.value = "draw";
    this.#show();
    const size = Math.max(...values.map(Math.abs));
    this.#take({ values: values.map((value) => rounded(value, size)) });
  }

  async #dropped(file) {
    this.elements.source.value = "data";
    this.#forget();
    this.#show();
    await this.data.open(file);
  }

  #example(name, chosen = true) {
    this.elements.example.value = name;
    if (name === "") return;
    this.elements.source.value = "data";
    const { sequence, season } = this.#examples[name];
    if (chosen || !this.hasChosen) {
      this.hasChosen = true;
      this.elements["model-name"].value = name;
      this.hasSeason = season > 1;
      this.elements.season.value = season;
    }
    this.#show();
    this.data.show(sequence);
    this.elements.example.value = name;
  }

  #chosen() {
    if (!("season" in this.#wanted)) this.#forget();
    const before = this.#usable?.values;
    this.#show();
    if (this.source === "sine") this.#pick();
    if (this.source === "draw" && this.#usable !== null) this.#take(this.#usable);
    if (this.source === "data") {
      if (this.data.table !== null) this.data.reread();
      else if (this.#wanted.source === "data") this.data.refuse("This link has choices only. Choose, drop or paste your data.");
      else if (before) this.data.show(before);
    }
  }

  /** Forget what belongs to the data before: their season, and that they were an example. */
  #forget() {
    this.hasSeason = false;
    this.elements.season.value = this.elements.example.value = this.form.querySelector("#season-from").value = "";
  }

  #suit() {
    const name = this.suited[this.source];
    if (name !== undefined && !this.hasChosen) this.elements["model-name"].value = name;
    const { steps } = this.elements;
    if (!this.hasSteps) steps.value = this.source === "data" && this.data.table ? STEPS_OF_TABLE : steps.defaultValue;
  }

  #show() {
    for (const name of [...PANELS, "backtests"]) {
      this.form.querySelector(`#${name}`).hidden = name !== this.source && !(name === "backtests" && this.source === "data");
    }
    this.#suit();
    document.body.dataset.source = this.source; // style.css: with this source a finger draws instead of scrolling
  }

  #pick() {
    const picked = Object.fromEntries(this.sliders.map((slider) => [slider.id, slider.valueAsNumber]));
    for (const output of this.form.querySelectorAll("#sine output")) {
      output.value = picked[output.htmlFor.value] + (output.dataset.unit ?? "");
    }
    const { values, truth } = sine({ ...picked, noise: picked.noise / 100 });
    this.#take({ values, truth, period: picked.period, clean: picked.noise === 0 });
  }

  #take(given) {
    this.#usable = given ?? this.#usable;
    this.given = given && { truth: null, period: undefined, clean: false, calendar: null, id: null, ...given };
    this.#suit();
    this.changed();
  }
}
