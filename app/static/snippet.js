/** Shows the request of the page as a command and as a program. */

/** Format JSON with a space after each comma and colon, so that lines can break. */
const json = (body) => JSON.stringify(body).replaceAll(/([,:])(?=[^\s])/g, "$1 ");

/** `keyed` says that the service requires a key. The code never contains the key, because people share code. */
export const snippets = {
  // The body comes from standard input, because a long sequence exceeds the length of a command line.
  curl: (url, body, keyed) => `curl -sN ${url} \\
  -H 'content-type: application/json' \\${keyed ? `
  -H "authorization: Bearer $SINE_API_KEY" \\` : ""}
  -d @- <<'END'
${json(body)}
END
`,
  python: (url, body, keyed) => `import json${keyed ? "\nimport os" : ""}

import httpx

request = ${json(body)}
${keyed ? `headers = {"authorization": f"Bearer {os.environ['SINE_API_KEY']}"}\n` : ""}\
with httpx.stream("POST", "${url}", json=request${keyed ? ", headers=headers" : ""}) as answer:
    answer.raise_for_status()
    for line in answer.iter_lines():
        if line.startswith("data: "):
            print(json.loads(line.removeprefix("data: ")))
`,
};

/** Copy a text to the clipboard. Return a word that describes the result. */
export async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return "Copied";
  }
  // Browsers give the clipboard only to pages from https or localhost. Other pages can copy a selection.
  const element = Object.assign(document.createElement("pre"), { id: "copied", textContent: text });
  document.body.append(element);
  getSelection().selectAllChildren(element);
  const done = document.execCommand("copy");
  element.remove();
  return done ? "Copied" : "Not copied";
}
