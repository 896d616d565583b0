/** Requests to the service: the next value, a rollout as it is computed, the models. */

/** The addresses of the next value and of a rollout. */
export const [PREDICT, ROLLOUT] = ["predict", "generate/stream"].map((path) => new URL(path, document.baseURI).href);

/** The service refused the request. The message is written for people. */
export class Refused extends Error {
  constructor(problem) {
    super((problem.errors ?? [problem]).map(inWords).join(" "));
  }
}

/** The service requires a key and does not know the given one, if any. */
export class Unauthorized extends Refused {}

/** The service did not answer. */
export class Unreachable extends Error {}

let key = ""; // kept in memory only: neither this computer's disk nor a reloaded page has it

/** Send this key with every request from now on. */
export const useKey = (given) => (key = given.replaceAll(/[^!-~]/g, ""));

/** Whether there is a key to send. */
export const hasKey = () => key !== "";

/** The served models (GET /models). */
export const models = (signal) => ask("models", { signal }).then((answer) => answer.json());

/** The next value (POST /predict). */
export const predict = (body, signal) => post(PREDICT, body, signal).then((answer) => answer.json());

/** The most values that a sequence may have, as the service documents it (GET /openapi.json). */
export const longestSequence = async (signal) => {
  const { paths } = await ask("openapi.json", { signal }).then((answer) => answer.json());
  return paths["/predict"].post.requestBody.content["application/json"].schema.properties.sequence.maxItems;
};

/** The steps that the model's kernel has executed so far, and the seconds that it took for them (GET /metrics). */
export const kernel = async () => {
  const text = await ask("metrics", {}).then((answer) => answer.text());
  const total = (name) => {
    const lines = text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"));
    return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
  };
  return { steps: total("sine_steps_total"), seconds: total("sine_model_seconds_total") };
};

/** Whether the service answers. */
export const reachable = () => ask("livez", {}).then(() => true, () => false);

/** Call `timed(address, first, last)` for each answer, with the ms from its request to its first and its last byte.
 *
 * The browser measures the times. A clock in the page would include the page's other work, which takes longer than an
 * answer.
 */
export function watchTimes(timed) {
  new PerformanceObserver((list) => {
    for (const { name, requestStart, responseStart, responseEnd, responseStatus } of list.getEntries()) {
      if (responseStatus === 200) timed(name, responseStart - requestStart, responseEnd - requestStart);
    }
  }).observe({ type: "resource" });
}

/** Yield the parts of a rollout (POST /generate/stream) and return its end. Aborting stops the service's work. */
export async function* rollout(body, signal) {
  const answer = await post(ROLLOUT, body, signal);
  for await (const { name, data } of events(answer.body)) {
    if (name === "values") yield data;
    if (name === "done") return data;
    if (name === "error") throw new Refused(data);
  }
  throw new Unreachable("the stream ended before it was done");
}

function post(path, body, signal) {
  return ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

async function ask(path, options) {
  const headers = { ...options.headers, ...(hasKey() && { authorization: `Bearer ${key}` }) };
  const answer = await fetch(path, { ...options, headers }).catch(unreachable);
  if (answer.ok) return answer;
  const status = { detail: `The answer was ${answer.status} ${answer.statusText}.` };
  const problem = await answer.json().catch(() => status);
  throw answer.status === 401 ? new Unauthorized(problem) : new Refused(problem);
}

/** Yield server-sent events. This service uses `event`, a `data` of one line, and comments to keep a stream alive. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(unreachable);
      if (done) return;
      const complete = (text + value).split(/\r?\n\r?\n/);
      text = complete.pop();
      for (const event of complete) {
        const fields = Object.fromEntries(event.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s, 2)));
        if (fields.data) yield { name: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function unreachable(error) {
  throw error.name === "AbortError" ? error : new Unreachable(error.message);
}

/** "/steps", "input should be …" → "Steps: input should be …." */
function inWords({ pointer, detail }) {
  const sentence = /[.!?]$/.test(detail) ? detail : `${detail}.`;
  const [, field, index] = (pointer ?? "").split("/");
  if (!field) return sentence;
  const name = field[0].toUpperCase() + field.slice(1);
  return index === undefined ? `${name}: ${sentence}` : `${name}, value ${Number(index) + 1}: ${sentence}`;
}
