/** The request of the page as a command and as a program that do the same. */

/** Numbers of a sequence with a space after each comma, so that the lines can break. */
const json = (body) => JSON.stringify(body).replaceAll(/([,:])(?=[^\s])/g, "$1 ");

/** `keyed`: the service wants a key. It is never in the code, which gets copied to where others read. */
export const snippets = {
  // The body comes in by standard input: a long sequence is too much for a command line.
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
