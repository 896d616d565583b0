/** A CSV file as a table of texts. It is read as `model/series/table.py` reads it: errors say what was found. */

const { Papa } = globalThis;

/** The file or a choice of its columns cannot be used. The message is written for people. */
export class SeriesError extends Error {
  /** `gap` says that a filled gap would resolve it. */
  constructor(message, { gap = false } = {}) {
    super(message);
    this.gap = gap;
  }
}

/** The texts that stand for a missing value. */
export const MISSING = ["", "-", "NA", "N/A", "NaN", "nan", "NaT", "null", "NULL", "None"];

export const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

const NUMBER_OR_INFINITE = /^([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?)$/i;
const SEPARATORS = { ";": "semicolons", "\t": "tabs", "|": "vertical bars" };
const SHOWN = 40; // characters of a cell in a message
const OTHERS = [
  ["PAR1", "a Parquet file, which the command line reads; here a CSV file is needed"],
  ["PK\x03\x04", "a ZIP archive or an Excel workbook; a CSV file is needed"],
  ["\xd0\xcf\x11\xe0", "an Excel workbook; a CSV file is needed"],
  ["{", "JSON; a CSV file is needed"],
];
const ENCODINGS = [
  ["\xff\xfe", "utf-16le"],
  ["\xfe\xff", "utf-16be"],
];

export class Table {
  /** `columns` maps the names to the cells of all rows. A cell is a text without space around it, or null. */
  constructor(columns, records, header) {
    this.columns = columns;
    this.names = [...columns.keys()];
    this.height = records.length - header;
    this.records = records;
    this.header = header;
  }

  /** Return the line on which a row begins, counted from 1; `index` counts rows from 0. */
  row(index) {
    const at = index + this.header;
    const broken = this.records.slice(0, at).flat().reduce((sum, cell) => sum + cell.split("\n").length - 1, 0);
    return at + broken + 1;
  }

  error(index, why, options) {
    return new SeriesError(`Row ${this.row(index)}: ${why}`, options);
  }

  /** Return a cell for people. */
  shown(name, index) {
    const cell = this.columns.get(name)[index];
    return cell === null ? "missing" : quoted(cell);
  }
}

export function quoted(text) {
  const whole = `'${text}'`;
  return whole.length > SHOWN ? `${whole.slice(0, SHOWN)}…` : whole;
}

/** Return the text of a file. Throw a SeriesError if it is none. */
export async function textOf(file) {
  let bytes = new Uint8Array(await file.arrayBuffer());
  if (startsWith(bytes, "\x1f\x8b")) {
    const unzipped = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    bytes = new Uint8Array(
      await new Response(unzipped).arrayBuffer().catch(() => {
        throw new SeriesError("The file cannot be read: its gzip compression is damaged.");
      }),
    );
  }
  for (const [beginning, kind] of OTHERS) {
    if (startsWith(bytes, beginning)) throw new SeriesError(`The file cannot be read: it is ${kind}.`);
  }
  const encoding = ENCODINGS.find(([mark]) => startsWith(bytes, mark))?.[1] ?? "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new SeriesError("The file cannot be read: it is not text in UTF-8; save it as UTF-8.");
  }
}

/** Return the table in a text. Throw a SeriesError if there is none. `pasted` tables may have tabs between cells. */
export function readTable(text, pasted = false) {
  if (text.includes("\0")) throw new SeriesError("The file cannot be read: it is not text; a CSV file is needed.");
  const lines = text.replace(/^\ufeff/, "").replaceAll(/\r\n?/g, "\n");
  if (lines.trim() === "") throw new SeriesError("The file cannot be read: it is empty.");
  const [first, second = ""] = lines.split("\n", 2);
  if (first.trim() === "" && lines.trimStart().split("\n", 1)[0].split(",").some(isName)) {
    throw new SeriesError("Row 1: is empty; the names of the columns have to be in row 1.");
  }
  const tabs = pasted && first.includes("\t") && !first.includes(",");
  for (const [separator, name] of Object.entries(SEPARATORS)) {
    const separates = first.includes(separator) && !first.includes(",") && (!second || second.includes(separator));
    if (separates && !(tabs && separator === "\t")) {
      throw new SeriesError(`Row 1: columns are separated by ${name}; commas are needed, and decimal points.`);
    }
  }
  return tableOf(recordsOf(lines, tabs ? "\t" : ","));
}

function recordsOf(text, delimiter) {
  const { data, errors } = Papa.parse(text.replace(/\n$/, ""), { delimiter, newline: "\n" });
  const fault = errors.find(({ type }) => type === "Quotes");
  if (fault) throw new SeriesError(`Row ${fault.row + 1}: cannot be read: a quotation mark is missing or out of place.`);
  const width = data[0].length;
  const wide = data.findIndex((record) => record.length > width);
  if (wide >= 0) {
    const why = `${data[wide].length} fields, and row 1 has ${width}; commas separate fields, and numbers have decimal points`;
    throw new SeriesError(`Row ${new Table(new Map(), data, 0).row(wide)}: cannot be read: ${why}.`);
  }
  // Some programs end a file with empty lines. Anywhere else, empty lines are missing values.
  return data.slice(0, data.findLastIndex((record) => record.some((cell) => cell.trim() !== "")) + 1);
}

function tableOf(records) {
  const width = records[0].length;
  const names = records[0].map((cell) => cell.trim());
  const header = names.some(isName);
  if (!header && width > 1) throw new SeriesError("Row 1: a file of several columns has to begin with their names.");
  const columns = new Map();
  for (let number = 0; number < width; number++) {
    const cells = records.slice(Number(header)).map((record) => record[number]?.trim() || null);
    const isUnnamed = !header || names[number] === "";
    const name = isUnnamed ? `column_${number}` : names[number];
    if (columns.has(name)) throw new SeriesError(`Row 1: two columns are called ${quoted(name)}.`);
    if (!(isUnnamed && width > 1 && cells.every((cell) => cell === null))) columns.set(name, cells);
  }
  return new Table(columns, records, Number(header));
}

/** Return whether the first cell of a column is its name, and no value of it. */
export function isName(cell) {
  const text = cell.trim();
  return !MISSING.includes(text) && /^[\p{L}_]/u.test(text) && !NUMBER_OR_INFINITE.test(text);
}

const startsWith = (bytes, text) => [...text].every((char, index) => bytes[index] === char.charCodeAt(0));
