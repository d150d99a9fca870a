// Labels that are allowed, or left out.

import { call } from "./api.js";
import { byId, delayed, labelName, make } from "./dom.js";

const KINDS = { allowed: "Only these", denied: "Left out" };

export function createFilters(state) {
  const chosen = { allowed: new Map(), denied: new Map() };
  const listeners = [];

  function changed() {
    draw();
    for (const listener of listeners) listener();
  }

  function add(kind, label) {
    const other = kind === "allowed" ? "denied" : "allowed";
    chosen[other].delete(label.id);
    chosen[kind].set(label.id, label);
    changed();
  }

  function draw() {
    const lists = Object.entries(KINDS)
      .filter(([kind]) => chosen[kind].size)
      .map(([kind, title]) =>
        make(
          "div",
          {},
          make("h3", {}, title),
          make(
            "ul",
            { className: "chips" },
            ...[...chosen[kind].values()].map((label) =>
              make(
                "li",
                { className: kind },
                labelName(label),
                make(
                  "button",
                  {
                    type: "button",
                    "aria-label": `Remove ${labelName(label)}`,
                    onclick: () => {
                      chosen[kind].delete(label.id);
                      changed();
                    },
                  },
                  "×",
                ),
              ),
            ),
          ),
        ),
      );
    byId("filter-chosen").replaceChildren(...lists);
    const total = chosen.allowed.size + chosen.denied.size;
    byId("filter-count").textContent = total ? `(${total})` : "";
  }

  const search = delayed(150, async () => {
    const query = byId("filter-query").value.trim();
    const list = byId("filter-found");
    if (!query) {
      list.replaceChildren();
      return;
    }
    try {
      const found = await searchLabels(state, query, 8);
      if (query !== byId("filter-query").value.trim()) return;
      list.replaceChildren(...(found.length ? found.map((label) => foundEntry(label, add)) : [make("li", { className: "quiet" }, "No label of this name.")]));
    } catch (error) {
      list.replaceChildren(make("li", { className: "problem" }, error.message));
    }
  });
  byId("filter-query").addEventListener("input", search);

  return {
    add(kind, label) {
      byId("filters").open = true;
      add(kind, label);
    },
    body() {
      return {
        allowed: chosen.allowed.size ? [...chosen.allowed.keys()] : null,
        denied: chosen.denied.size ? [...chosen.denied.keys()] : null,
      };
    },
    onChange: (listener) => listeners.push(listener),
    modelChanged() {
      chosen.allowed.clear();
      chosen.denied.clear();
      draw();
    },
  };
}

export async function searchLabels(state, query, limit) {
  const parameters = new URLSearchParams({ query, limit, model: state.model.name });
  return (await call(`v1/labels?${parameters}`)).labels;
}

/** Return a line of a search: the label, and buttons to allow it or leave it out. */
export function foundEntry(label, add) {
  const button = (kind, verb) =>
    make("button", { type: "button", className: "small", "aria-label": `${verb} ${labelName(label)}`, onclick: () => add(kind, label) }, verb);
  return make(
    "li",
    {},
    make("span", { className: "name" }, labelName(label)),
    label.text ? make("span", { className: "id" }, label.id) : "",
    make("span", { className: "row" }, button("allowed", "Only"), button("denied", "Leave out")),
  );
}
