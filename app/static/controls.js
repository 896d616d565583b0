/** The controls for the given values and the number of steps. Values come from sliders (a sine), a text, or a stroke. */

import { numbers, rounded, sine } from "./wave.js";

const PANELS = ["sine", "draw", "paste"];

export class Controls {
  values = [];

  /** A function of the step that gives the true value, or null if the truth is unknown. */
  truth = null;

  /** The period of a sine, in samples. */
  period = undefined;

  /** Whether the given values are a sine without noise. */
  clean = true;

  /** Whether the user has chosen the model. */
  hasChosen = false;

  /** The name of the model for each source of values. */
  suited = {};

  /** Call `changed()` whenever there is something new to forecast. */
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.sliders = [...form.querySelectorAll("[type=range]")];
    this.box = form.elements.numbers;
    this.wrong = form.querySelector("#numbers-wrong");
    this.models = form.querySelector("#models");
    this.models.addEventListener("change", () => {
      this.hasChosen = true;
      changed();
    });
    for (const slider of this.sliders) slider.addEventListener("input", () => this.#pick());
    for (const radio of form.elements.source) radio.addEventListener("change", () => this.#chosen());
    this.box.addEventListener("input", () => this.#read());
    form.elements.steps.addEventListener("change", () => changed());
  }

  get source() {
    return this.form.elements.source.value;
  }

  get steps() {
    return this.form.elements.steps.valueAsNumber;
  }

  /** The name of the chosen model; undefined if there is only one. */
  get model() {
    return this.models.hidden ? undefined : this.form.elements["model-name"].value;
  }

  /** Offer these models. The user's choice stays if it is among them. Values that are no sine go to `forSeries`. */
  offer(names, preferred, forSeries) {
    const select = this.form.elements["model-name"];
    this.hasChosen &&= names.includes(select.value);
    const chosen = this.hasChosen ? select.value : preferred;
    select.replaceChildren(...names.map((name) => new Option(name, name, name === preferred, name === chosen)));
    this.models.hidden = names.length < 2;
    this.suited = { sine: preferred, draw: forSeries, paste: forSeries };
    this.#suit();
  }

  /** Begin with the values that the page shows. */
  begin() {
    this.#chosen();
  }

  /** Take the values of a stroke. */
  drawn(values) {
    this.form.elements.source.value = "draw";
    this.#show();
    const size = Math.max(...values.map(Math.abs));
    this.#take({ values: values.map((value) => rounded(value, size)) });
  }

  #chosen() {
    this.#show();
    if (this.source === "sine") this.#pick();
    if (this.source === "paste") this.box.value = this.values.join(", ");
  }

  #suit() {
    const name = this.suited[this.source];
    if (name !== undefined && !this.hasChosen) this.form.elements["model-name"].value = name;
  }

  #show() {
    for (const name of PANELS) this.form.querySelector(`#${name}`).hidden = name !== this.source;
    this.#suit();
    document.body.dataset.source = this.source; // style.css: with this source a finger draws instead of scrolling
    this.#say("");
  }

  #pick() {
    const picked = Object.fromEntries(this.sliders.map((slider) => [slider.id, slider.valueAsNumber]));
    for (const output of this.form.querySelectorAll("output")) {
      output.value = picked[output.htmlFor.value] + (output.dataset.unit ?? "");
    }
    const { values, truth } = sine({ ...picked, noise: picked.noise / 100 });
    this.#take({ values, truth, period: picked.period, clean: picked.noise === 0 });
  }

  #read() {
    try {
      this.#take({ values: numbers(this.box.value) });
      this.#say("");
    } catch (error) {
      this.#say(error.message);
    }
  }

  #say(wrong) {
    this.wrong.textContent = wrong;
    this.box.setAttribute("aria-invalid", String(wrong !== ""));
  }

  #take({ values, truth = null, period = undefined, clean = false }) {
    Object.assign(this, { values, truth, period, clean });
    this.changed();
  }
}
