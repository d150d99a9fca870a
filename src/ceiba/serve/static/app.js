// The page: views, the choice of the model, and the links between the parts.

import { call, onBack } from "./api.js";
import { startBatch } from "./batch.js";
import { byId, count, make, plural } from "./dom.js";
import { createFilters } from "./filters.js";
import { createLabels } from "./labels.js";
import { createPredict } from "./predict.js";

const state = { model: null };
const filters = createFilters(state);
const predict = createPredict(state, filters);
const labels = createLabels(state, filters);
startBatch(state, filters);
filters.onChange(() => predict.refresh());

const tabs = [...document.querySelectorAll('[role="tab"]')];

function openTab(tab, { focus = false } = {}) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  history.replaceState(null, "", `#${tab.id.slice(4)}`);
  if (tab.id === "tab-labels") labels.open();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tabs.indexOf(tab);
    const next = { Home: tabs[0], End: tabs.at(-1) }[event.key] ?? (step && tabs[(at + step + tabs.length) % tabs.length]);
    if (!next) return;
    event.preventDefault();
    openTab(next, { focus: true });
  });
}

const select = byId("model");

function choose(model) {
  state.model = model;
  const kind = model.calibrated ? "probabilities" : "scores, not calibrated";
  byId("model-facts").textContent =
    `${plural(model.n_labels, "label", "labels")} from ${plural(model.n_training_texts, "text", "texts")}; ${kind}` +
    (model.has_training_texts ? "; shows training texts" : "");
  predict.modelChanged();
  filters.modelChanged();
  labels.modelChanged();
}

async function loadModels() {
  let found;
  try {
    found = (await call("v1/models")).models;
  } catch (error) {
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
    return;
  }
  byId("problem").hidden = true;
  const before = state.model && state.model.name;
  select.replaceChildren(...found.map((model) => make("option", { value: model.name }, model.name)));
  select.disabled = found.length < 2;
  select.title = count(found.length);
  const chosen = found.find((model) => model.name === before) ?? found[0];
  select.value = chosen.name;
  select.onchange = () => choose(found.find((model) => model.name === select.value));
  choose(chosen);
}

onBack(loadModels);
const named = tabs.find((tab) => tab.id === `tab-${location.hash.slice(1)}`);
if (named) openTab(named);
loadModels();
