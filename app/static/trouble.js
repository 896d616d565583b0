/** Shows errors in words, also to screen readers. If the service is gone, waits until it is back. */

import { hasKey, reachable, Refused, Unauthorized, Unreachable, useKey } from "./api.js";

/** The interval of the checks whether the service is back. */
const AGAIN_AFTER_MS = 2000;

export class Trouble {
  #waiting = null;

  /** Call `retry` when the service is back, or when the user asks for it. */
  constructor(element, retry) {
    this.element = element;
    this.retry = retry;
    addEventListener("online", () => this.#waiting !== null && retry());
  }

  show(error) {
    this.#stop();
    if (error instanceof Unreachable) {
      this.#say("The service cannot be reached.", "The page goes on by itself when it is back.", () => this.#again());
      this.#wait();
    } else if (error instanceof Unauthorized) {
      const detail = hasKey() ? "It does not know this one." : "This page forgets it when it is left.";
      this.#say("The service wants a key.", detail, () => this.#keyForm());
      this.element.querySelector("input").value = "";
    } else if (error instanceof Refused) {
      this.#say("The service refused this.", error.message);
    } else {
      this.#say("This page has a fault.", error.message);
      reportError(error);
    }
  }

  over() {
    this.#stop();
    this.element.replaceChildren();
  }

  #wait() {
    this.#waiting = setTimeout(async () => ((await reachable()) ? this.retry() : this.#wait()), AGAIN_AFTER_MS);
  }

  #stop() {
    clearTimeout(this.#waiting);
    this.#waiting = null;
  }

  /** Show an error. `control` makes the element that helps to resolve it, if there is one. */
  #say(title, detail, control) {
    // Screen readers would read unchanged words again.
    if (this.element.firstChild?.textContent !== title || this.element.children[1].textContent !== detail) {
      const parts = [made("strong", { textContent: title }), " ", made("span", { textContent: detail })];
      this.element.replaceChildren(...parts, ...(control ? [" ", control()] : []));
    }
  }

  #again() {
    const button = made("button", { type: "button", textContent: "Try again" });
    button.addEventListener("click", () => this.retry());
    return button;
  }

  #keyForm() {
    const form = made("form", { autocomplete: "off" });
    const input = made("input", { id: "key", type: "password", required: true, autocomplete: "off" });
    form.append(made("label", { htmlFor: "key", textContent: "Key" }), " ", input, made("button", { textContent: "Use it" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      useKey(input.value);
      this.retry();
    });
    return form;
  }
}

const made = (tag, properties) => Object.assign(document.createElement(tag), properties);
