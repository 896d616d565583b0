/** What went wrong, in words, where a screen reader hears of it; and when the service is gone, waiting until it is back. */

import { hasKey, reachable, Refused, Unauthorized, Unreachable, useKey } from "./api.js";

/** How often it is asked whether a service that was gone is back. */
const AGAIN_AFTER_MS = 2000;

export class Trouble {
  #waiting = null;

  /** `retry` is called when the service is back, or somebody asks for it. */
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

  /** `control` makes what there is to do about it, if there is something. */
  #say(title, detail, control) {
    // The same words again would be read out again.
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
