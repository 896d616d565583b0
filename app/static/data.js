/** The panel for one's own data: a file, a text or an example becomes one series. Nothing of it leaves the page here. */

import { recognised } from "./series/columns.js";
import { readSeries, seriesOf } from "./series/reading.js";
import { isName, readTable, SeriesError, textOf } from "./series/table.js";
import { DATE } from "./series/times.js";
import { counted } from "./run.js";
import { numbers } from "./wave.js";

const COLUMNS = ["value", "time", "id"];

export class Data {
  /** The table, null for plain numbers. */
  table = null;

  /** Positions in the lists that a link asks for: `value`, `time`, `id`, `series` and `fill`. */
  wanted = {};

  #name = "";
  #rows = new Map();

  /** Call `changed(given)` with each new series, and with null while there is none that can be used. */
  constructor(form, changed) {
    this.changed = changed;
    for (const name of [...COLUMNS, "series", "fill", "file", "numbers"]) this[name] = form.elements[name];
    this.panel = form.querySelector("#columns");
    [this.said, this.wrong] = ["#read", "#numbers-wrong"].map((id) => form.querySelector(id));
    form.elements.choose.addEventListener("click", () => this.file.click());
    this.file.addEventListener("change", () => this.file.files.length > 0 && this.open(this.file.files[0]));
    this.numbers.addEventListener("input", () => this.paste());
    for (const name of COLUMNS) this[name].addEventListener("change", () => this.#list());
    for (const name of ["series", "fill"]) this[name].addEventListener("change", () => this.reread());
  }

  /** Take the first series of a file. */
  async open(file) {
    this.#forget();
    await this.#try(async () => this.#take(readTable(await textOf(file)), file.name));
    this.file.value = ""; // so that the same file can be chosen again
  }

  /** Take the text of the box: numbers with anything between them, or a table. */
  paste() {
    const text = this.numbers.value;
    this.#forget(text);
    return this.#try(() => {
      const table = tableIn(text);
      if (table !== null) return this.#take(readTable(table, true), "Table");
      this.changed({ values: numbers(text) });
    });
  }

  /** Show values that come from elsewhere, and take them. */
  show(values) {
    this.numbers.value = values.join(", ");
    return this.paste();
  }

  /** Return what is chosen as positions in the lists, for a link. They say nothing about the data. */
  get chosen() {
    if (this.table === null) return {};
    const further = ["series", "fill"].filter((name) => this[name].selectedIndex > 0);
    return Object.fromEntries([...COLUMNS, ...further].map((name) => [name, this[name].selectedIndex]));
  }

  /** Show what is wrong, and say that there is no series. */
  refuse(message) {
    this.#say("", message);
    this.changed(null);
  }

  #forget(text = "") {
    this.table = null;
    this.panel.hidden = true;
    this.fill.value = "";
    this.fill.parentElement.hidden = true;
    this.numbers.value = text;
    this.#say("");
  }

  #take(table, name) {
    [this.table, this.#name] = [table, name];
    const choice = recognised(table);
    for (const column of COLUMNS) {
      const none = new Option(column === "value" ? "Choose …" : "none", "");
      const options = table.names.map((text, index) => new Option(text, index));
      this[column].replaceChildren(none, ...options);
      this[column].value = choice[column] === undefined ? "" : table.names.indexOf(choice[column]);
      choose(this[column], this.wanted[column]);
    }
    choose(this.fill, this.wanted.fill);
    this.fill.parentElement.hidden = this.fill.value === "";
    this.panel.hidden = false;
    return this.#list();
  }

  #list() {
    return this.#try(() => {
      const before = this.series.value;
      this.#rows = seriesOf(this.table, this.#choice);
      const names = [...this.#rows.keys()];
      this.series.replaceChildren(...names.map((name) => new Option(name, name, false, name === before)));
      this.series.parentElement.hidden = this.#choice.id === undefined;
      choose(this.series, this.wanted.series);
      this.wanted = {}; // another table has other columns
      this.reread();
    });
  }

  /** Read the chosen series of the table again. */
  reread() {
    return this.#try(() => {
      const [choice, name] = [this.#choice, this.series.value];
      const { values, calendar, filled } = readSeries(this.table, choice, name, this.#rows.get(name), this.fill.value);
      this.#say(this.#description(values, calendar, filled));
      this.changed({ values, calendar, id: choice.id === undefined ? null : name });
    });
  }

  get #choice() {
    const named = (column) => this.table.names[this[column].value === "" ? -1 : Number(this[column].value)];
    return Object.fromEntries(COLUMNS.map((column) => [column, named(column)]));
  }

  #description(values, calendar, filled) {
    const used = new Set(Object.values(this.#choice));
    const unused = this.table.names.filter((name) => !used.has(name));
    let text = `${this.#name}: ${counted(values.length, "value")}`;
    if (this.#rows.size > 1) text += ` of one of ${this.#rows.size} series`;
    if (calendar?.grid.apart) text += `, ${calendar.grid.apart} apart, ${calendar.label(0)} to ${calendar.label(values.length - 1)}`;
    if (filled > 0) text += `; ${filled} filled`;
    return `${text}.${unused.length > 0 ? ` Not used: ${unused.join(", ")}.` : ""}`;
  }

  async #try(work) {
    try {
      await work();
    } catch (error) {
      if (error.gap) this.fill.parentElement.hidden = false;
      this.refuse(error.message);
      if (!(error instanceof SeriesError)) reportError(error);
    }
  }

  #say(said, wrong = "") {
    this.said.textContent = said;
    this.wrong.textContent = wrong;
    this.numbers.setAttribute("aria-invalid", String(wrong !== ""));
  }
}

/** Take files that are dropped on the page. The page shows that it would take them. */
export function dropping(taken) {
  const shown = (dragged) => (document.body.dataset.dragged = String(dragged));
  const isFile = ({ dataTransfer }) => dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    shown(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && shown(false));
  addEventListener("drop", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    shown(false);
    taken(event.dataTransfer.files[0]);
  });
}

function choose(select, index) {
  if (index >= 0 && index < select.options.length) select.selectedIndex = index;
}

/** Return the table in a pasted text, null if it is a list of numbers. A table of dates and values gets its header. */
function tableIn(text) {
  const [first, ...others] = text.trim().split(/\r?\n/);
  const cells = first.split(/[,\t;|]/).map((cell) => cell.trim());
  if (DATE.test(cells[0]) && cells.length === 2) return `ds${first.includes("\t") ? "\t" : ","}y\n${text.trim()}`;
  return others.length > 0 && cells.some(isName) && cells.every((cell) => cell === "" || isName(cell)) ? text : null;
}
