// A file of texts: read here, ranked in parts, downloaded.

import { Problem, call } from "./api.js";
import { byId, count, dropTarget, labelName, make, plural, show } from "./dom.js";
import { readTable, writeCsv } from "./tables.js";

const TEXTS_AT_ONCE = 32;
const CHARACTERS_AT_ONCE = 1 << 20;
const MOST_TRIES = 8;
const SHOWN = 20;
const LARGEST_FILE = 256 << 20;
const LIKELY = ["text", "title", "content", "body", "description", "abstract"];

export function startBatch(state, filters) {
  let table = null;
  let name = "";
  let results = [];
  let controller = null;

  async function open(file) {
    stop();
    table = null;
    results = [];
    for (const id of ["batch-setup", "batch-preview", "batch-progress", "batch-done"]) show(byId(id), false);
    try {
      if (file.size > LARGEST_FILE) throw new Error("The file is larger than 256 MB. `ceiba predict` takes any size.");
      table = readTable(file.name, await file.text());
      if (!table.rows.length || !table.columns.length) throw new Error("The file holds no texts.");
    } catch (error) {
      table = null;
      problem(error.message);
      return;
    }
    problem("");
    name = file.name.replace(/\.[^.]*$/, "") || "texts";
    byId("batch-name").textContent = `${file.name}: ${plural(table.rows.length, "row", "rows")}`;
    const column = byId("batch-column");
    column.replaceChildren(...table.columns.map((title) => make("option", { value: title }, title)));
    column.value = LIKELY.map((word) => table.columns.find((title) => title.toLowerCase() === word)).find(Boolean) ?? longest(table);
    show(byId("batch-setup"), true);
    preview();
  }

  function preview() {
    const column = byId("batch-column").value;
    const rows = table.rows.slice(0, SHOWN).map((row, index) => {
      const found = results[index];
      const shown = !found ? "" : found.error ? make("span", { className: "problem" }, found.error) : found.labels.map((label) => `${labelName(label)} ${label.score.toFixed(2)}`).join(" · ");
      return make("tr", {}, make("td", {}, index + 1), make("td", {}, shorten(textOf(row, column))), make("td", {}, shown));
    });
    byId("batch-rows").replaceChildren(...rows);
    show(byId("batch-preview"), true);
  }

  async function run() {
    controller = new AbortController();
    const mine = controller;
    const column = byId("batch-column").value;
    const k = Math.max(1, Math.min(100, Math.round(Number(byId("batch-k").value)) || 5));
    results = [];
    problem("");
    show(byId("batch-done"), false);
    show(byId("batch-progress"), true);
    busy(true);
    const texts = table.rows.map((row) => textOf(row, column));
    const started = performance.now();
    try {
      for (let begin = 0; begin < texts.length; ) {
        let end = begin;
        let size = 0;
        while (end < texts.length && end - begin < TEXTS_AT_ONCE && (end === begin || size + texts[end].length < CHARACTERS_AT_ONCE)) size += texts[end++].length;
        results.push(...(await rankPart(texts.slice(begin, end), k, mine.signal)));
        begin = end;
        progress(begin, texts.length, started);
        if (begin <= SHOWN + TEXTS_AT_ONCE) preview();
      }
      finish(texts.length);
    } catch (error) {
      if (mine !== controller) return; // another file was opened
      if (error.name !== "AbortError") problem(`${error.message} ${plural(results.length, "text is", "texts are")} done.`);
      else byId("batch-status").textContent = `Stopped after ${plural(results.length, "text", "texts")}.`;
      show(byId("batch-done"), results.length > 0);
    } finally {
      if (mine === controller) {
        controller = null;
        busy(false);
        preview();
      }
    }
  }

  /** Rank texts; where the service refuses them, each one alone, so that one bad text costs only itself. */
  async function rankPart(texts, k, signal) {
    try {
      const body = { model: state.model.name, texts, k, ...filters.body() };
      return (await patiently(() => call("v1/predict", { body, signal }), signal)).results;
    } catch (error) {
      if (!(error instanceof Problem) || ![413, 422].includes(error.status)) throw error;
      if (texts.length === 1) return [{ labels: [], error: error.message }];
      const parts = [];
      for (const text of texts) parts.push(...(await rankPart([text], k, signal)));
      return parts;
    }
  }

  async function patiently(action, signal) {
    for (let tries = 1; ; tries++) {
      try {
        return await action();
      } catch (error) {
        const temporary = error instanceof Problem && (error.status === 503 || error.status === 0);
        if (!temporary || tries === MOST_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
        signal.throwIfAborted();
      }
    }
  }

  function progress(done, total, started) {
    byId("batch-bar").max = total;
    byId("batch-bar").value = done;
    const left = ((performance.now() - started) / done) * (total - done) / 1000;
    const time = left >= 2 ? `; about ${left < 90 ? `${Math.round(left)} s` : `${Math.round(left / 60)} min`} left` : "";
    byId("batch-status").textContent = `${count(done)} of ${count(total)}${time}`;
  }

  function finish(total) {
    const failed = results.filter((result) => result.error).length;
    byId("batch-status").textContent = `${plural(total, "text", "texts")} ranked${failed ? `, ${count(failed)} of them refused` : ""}.`;
    show(byId("batch-done"), true);
  }

  function stop() {
    const running = controller;
    controller = null;
    running?.abort();
    busy(false);
  }

  function busy(value) {
    byId("batch-start").disabled = value;
    show(byId("batch-stop"), value);
  }

  function problem(message) {
    byId("batch-problem").textContent = message;
    show(byId("batch-problem"), Boolean(message));
  }

  function download(kind) {
    const rows = results.map((result, index) => ({ ...table.rows[index], ...written(result, kind) }));
    const columns = [...table.columns.filter((column) => !["labels", "scores", "error"].includes(column)), "labels", "scores", "error"];
    const content = kind === "csv" ? writeCsv(columns, rows) : rows.map((row) => `${JSON.stringify(row)}\n`).join("");
    const url = URL.createObjectURL(new Blob([content], { type: kind === "csv" ? "text/csv" : "application/x-ndjson" }));
    make("a", { href: url, download: `${name}-labels.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  function written(result, kind) {
    const more = result.error ? { error: result.error } : {};
    if (kind === "jsonl") return { labels: result.labels, ...more };
    return { labels: result.labels.map((label) => label.id).join("; "), scores: result.labels.map((label) => label.score.toFixed(4)).join("; "), ...more };
  }

  byId("batch-file").addEventListener("change", (event) => {
    if (event.target.files[0]) open(event.target.files[0]);
    event.target.value = "";
  });
  dropTarget(byId("batch-drop"), open);
  byId("batch-column").addEventListener("change", () => {
    results = [];
    show(byId("batch-done"), false);
    preview();
  });
  byId("batch-start").addEventListener("click", run);
  byId("batch-stop").addEventListener("click", () => controller?.abort());
  byId("batch-csv").addEventListener("click", () => download("csv"));
  byId("batch-jsonl").addEventListener("click", () => download("jsonl"));
}

const textOf = (row, column) => (typeof row[column] === "string" ? row[column] : "");
const shorten = (text) => (text.length > 160 ? `${text.slice(0, 160)}…` : text);

function longest(table) {
  const sample = table.rows.slice(0, 50);
  const size = (column) => sample.reduce((sum, row) => sum + textOf(row, column).length, 0);
  return table.columns.reduce((best, column) => (size(column) > size(best) ? column : best));
}
