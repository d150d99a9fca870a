// One text: ranked labels while it is typed, and why.

import { call } from "./api.js";
import { byId, delayed, dropTarget, labelName, make, plural, show } from "./dom.js";
import { explanationOf, showMarks } from "./explain.js";

const WAIT_MILLISECONDS = 200;
const LARGEST_FILE = 4 << 20;

export function createPredict(state, filters) {
  const text = byId("text");
  const results = byId("results");
  const threshold = byId("threshold");
  let running = null;
  let answer = null; // { text, labels, calibrated }
  let opened = null; // the id of the label whose reasons are shown
  let explaining = 0;

  const soon = delayed(WAIT_MILLISECONDS, rank);

  async function rank() {
    soon.cancel();
    running?.abort();
    const asked = text.value;
    if (!state.model) return;
    if (!asked.trim()) {
      answer = null;
      draw();
      return;
    }
    const controller = new AbortController();
    running = controller;
    byId("results").setAttribute("aria-busy", "true");
    byId("status").textContent = answer ? byId("status").textContent : "Ranking…";
    try {
      const content = await call("v1/predict", {
        body: { model: state.model.name, texts: [asked], k: Number(byId("k").value), ...filters.body() },
        signal: controller.signal,
      });
      answer = { text: asked, labels: content.results[0].labels, calibrated: content.calibrated };
      showProblem("");
      draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      answer = null; // what is shown would belong to another text
      draw();
      showProblem(error.message);
    } finally {
      if (running === controller) {
        running = null;
        results.removeAttribute("aria-busy");
      }
    }
  }

  function showProblem(message) {
    const box = byId("problem");
    box.replaceChildren();
    if (message) {
      box.append(message, " ", make("button", { type: "button", onclick: rank }, "Try again"));
      byId("status").textContent = "";
    }
    show(box, Boolean(message));
  }

  function draw() {
    byId("threshold-value").textContent = Number(threshold.value).toFixed(2);
    if (!answer) {
      results.replaceChildren();
      byId("precision").textContent = "";
      byId("status").textContent = "No text yet.";
      closeReasons();
      return;
    }
    const least = Number(threshold.value);
    const shown = answer.labels.filter((label) => label.score >= least);
    const hidden = answer.labels.length - shown.length;
    byId("status").textContent = shown.length
      ? plural(shown.length, "label", "labels") + (hidden ? `; ${hidden} below the threshold` : "")
      : hidden
        ? `No label reaches the threshold; ${hidden} below it`
        : "No label found.";
    byId("precision").textContent = expectedPrecision(shown);
    if (!shown.some((label) => label.id === opened)) closeReasons();
    results.replaceChildren(...shown.map(entry));
    if (opened !== null) explain(opened);
  }

  function expectedPrecision(shown) {
    if (!answer.calibrated) return "Scores rank; they are no probabilities. A calibrated model shows the expected precision here.";
    if (!shown.length) return "";
    const mean = shown.reduce((sum, label) => sum + label.score, 0) / shown.length;
    return `Expected precision of what is shown: ${Math.round(100 * mean)}%`;
  }

  function entry(label, index) {
    const why = `why-${index}`;
    const bar = make("span", { className: "bar", "aria-hidden": "true" }, make("span"));
    // probabilities as they are; scores that only rank, beside the best one
    const whole = answer.calibrated ? 1 : Math.max(1e-9, answer.labels[0].score);
    bar.firstChild.style.width = `${Math.max(0, Math.min(1, label.score / whole)) * 100}%`;
    const open = label.id === opened;
    const button = make(
      "button",
      { type: "button", className: "label", "aria-expanded": String(open), "aria-controls": why, onclick: () => toggle(label.id) },
      make("span", { className: "name" }, labelName(label), label.text ? make("span", { className: "id" }, label.id) : ""),
      make("span", { className: "score" }, label.score.toFixed(label.score < 0.01 ? 4 : 2)),
      bar,
    );
    const deny = make(
      "button",
      { type: "button", className: "plain small", title: `Leave out ${labelName(label)}`, "aria-label": `Leave out ${labelName(label)}`, onclick: () => filters.add("denied", label) },
      "×",
    );
    return make("li", {}, make("div", { className: "line" }, button, deny), make("div", { id: why, className: "why", hidden: !open }));
  }

  function toggle(id) {
    opened = opened === id ? null : id;
    if (opened === null) closeReasons();
    const focused = document.activeElement?.closest?.("li");
    const at = focused ? [...results.children].indexOf(focused) : -1;
    draw();
    if (at >= 0) results.children[at]?.querySelector(".label").focus();
  }

  function closeReasons() {
    opened = null;
    show(byId("marked-card"), false);
  }

  async function explain(id) {
    const number = ++explaining;
    const box = [...results.querySelectorAll(".label")].find((button) => button.ariaExpanded === "true");
    const why = box && byId(box.getAttribute("aria-controls"));
    if (!why) return;
    why.replaceChildren(make("p", { className: "quiet" }, "Looking why…"));
    const asked = answer.text;
    try {
      const found = await call("v1/explain", { body: { model: state.model.name, text: asked, label: id, n_features: 8 } });
      if (number !== explaining || opened !== id) return;
      why.replaceChildren(explanationOf(found));
      byId("marked-title").textContent = `Words that carried ${labelName({ id, text: found.text })}`;
      showMarks(byId("marked"), asked, found.marks);
      show(byId("marked-card"), true);
    } catch (error) {
      if (number === explaining) why.replaceChildren(make("p", { className: "problem" }, error.message));
    }
  }

  async function open(file) {
    if (file.size > LARGEST_FILE) {
      showProblem("The file is larger than 4 MB. Use “A file of texts” for many texts.");
      return;
    }
    text.value = (await file.text()).replaceAll("\u0000", "");
    rank();
  }

  text.addEventListener("input", soon);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      rank();
    }
  });
  byId("k").addEventListener("change", rank);
  threshold.addEventListener("input", draw);
  byId("clear").addEventListener("click", () => {
    text.value = "";
    rank();
    text.focus();
  });
  byId("text-file").addEventListener("change", (event) => {
    if (event.target.files[0]) open(event.target.files[0]);
    event.target.value = "";
  });
  dropTarget(byId("text-drop"), open);

  return {
    refresh: rank,
    modelChanged() {
      answer = null;
      closeReasons();
      draw();
      rank();
    },
  };
}
