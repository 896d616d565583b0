/** What is given, and how many steps it is continued by: sliders make a sine, a box takes numbers, the plot a stroke. */

import { numbers, rounded, sine } from "./wave.js";

const PANELS = ["sine", "draw", "paste"];

export class Controls {
  values = [];

  /** A function of the step, or null where nobody knows it. */
  truth = null;

  /** Of a sine, in samples. */
  period = undefined;

  /** Whether this is a sine without noise. */
  clean = true;

  /** `changed()` is called whenever there is something new to forecast. */
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.sliders = [...form.querySelectorAll("[type=range]")];
    this.box = form.elements.numbers;
    this.wrong = form.querySelector("#numbers-wrong");
    this.models = form.querySelector("#models");
    this.models.addEventListener("change", () => changed());
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

  /** The name of the model that was chosen; undefined where there is only one. */
  get model() {
    return this.models.hidden ? undefined : this.form.elements["model-name"].value;
  }

  /** Let one of these models be chosen. The choice stays as long as that one is there. */
  offer(names, preferred) {
    const select = this.form.elements["model-name"];
    const chosen = names.includes(select.value) ? select.value : preferred;
    select.replaceChildren(...names.map((name) => new Option(name, name, name === preferred, name === chosen)));
    this.models.hidden = names.length < 2;
  }

  /** Begin with what the page shows. */
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

  #show() {
    for (const name of PANELS) this.form.querySelector(`#${name}`).hidden = name !== this.source;
    document.body.dataset.source = this.source; // a finger draws instead of scrolling: style.css
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
