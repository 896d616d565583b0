/** What went wrong, in words, where a screen reader hears of it; and when the service is gone, waiting until it is back. */

import { reachable, Refused, Unreachable } from "./api.js";

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
      this.#say("The service cannot be reached.", "The page goes on by itself when it is back.", true);
      this.#wait();
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

  #say(title, detail, offersRetry = false) {
    const heading = Object.assign(document.createElement("strong"), { textContent: title });
    const text = Object.assign(document.createElement("span"), { textContent: detail });
    const parts = [heading, " ", text];
    if (offersRetry) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Try again" });
      button.addEventListener("click", () => this.retry());
      parts.push(" ", button);
    }
    // The same words again would be read out again.
    if (this.element.firstChild?.textContent !== title || this.element.children[1].textContent !== detail) {
      this.element.replaceChildren(...parts);
    }
  }
}
