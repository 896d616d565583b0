/** The request of the page as a command and as a program that do the same. */

/** Numbers of a sequence with a space after each comma, so that the lines can break. */
const json = (body) => JSON.stringify(body).replaceAll(/([,:])(?=[^\s])/g, "$1 ");

export const snippets = {
  // The body comes in by standard input: a long sequence is too much for a command line.
  curl: (url, body) => `curl -sN ${url} \\
  -H 'content-type: application/json' \\
  -d @- <<'END'
${json(body)}
END
`,
  python: (url, body) => `import json

import httpx

request = ${json(body)}
with httpx.stream("POST", "${url}", json=request) as answer:
    answer.raise_for_status()
    for line in answer.iter_lines():
        if line.startswith("data: "):
            print(json.loads(line.removeprefix("data: ")))
`,
};

/** Put the text of `element` on the clipboard; returns what came of it. */
export async function copy(element) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(element.textContent);
    return "Copied";
  }
  // Browsers give the clipboard only to pages of https or localhost; to others, what is selected.
  getSelection().selectAllChildren(element);
  return document.execCommand("copy") ? "Copied" : "Selected";
}
