// All labels: by name, and down the tree.

import { call } from "./api.js";
import { byId, count, delayed, labelName, make, plural, show } from "./dom.js";
import { foundEntry, searchLabels } from "./filters.js";

const AT_ONCE = 50;

export function createLabels(state, filters) {
  let drawn = null; // the model and tree that are shown

  const search = delayed(150, async () => {
    if (!state.model) return;
    const query = byId("label-query").value.trim();
    try {
      const found = await searchLabels(state, query, AT_ONCE);
      byId("label-status").textContent = !found.length
        ? "No label of this name."
        : query
          ? found.length < AT_ONCE
            ? plural(found.length, "label", "labels")
            : `The first ${AT_ONCE}`
          : `The first of ${count(state.model.n_labels)}`;
      byId("label-found").replaceChildren(
        ...found.map((label) => {
          const entry = foundEntry(label, filters.add);
          entry.insertBefore(make("span", { className: "quiet" }, plural(label.training_texts, "text", "texts")), entry.lastChild);
          return entry;
        }),
      );
    } catch (error) {
      byId("label-status").textContent = error.message;
    }
  });

  async function children(level, node, offset) {
    const parameters = new URLSearchParams({
      model: state.model.name, tree: byId("tree-number").value || 0, level, node, offset, limit: AT_ONCE,
    });
    return call(`v1/tree?${parameters}`);
  }

  async function fill(list, level, node, offset = 0) {
    const waiting = make("li", { className: "quiet" }, "Loading…");
    list.append(waiting);
    try {
      const found = await children(level, node, offset);
      waiting.remove();
      list.append(...found.children.map(entry));
      const next = offset + found.children.length;
      if (next < found.n_children) {
        const more = make("li", {}, make("button", { type: "button", className: "small", onclick: () => {
          more.remove();
          fill(list, level, node, next);
        } }, `${count(found.n_children - next)} more`));
        list.append(more);
      }
    } catch (error) {
      waiting.className = "problem";
      waiting.textContent = error.message;
    }
  }

  function entry(child) {
    if (child.label) {
      return make("li", { className: "leaf" }, make("span", { className: "name" }, labelName(child.label)), " ",
        make("span", { className: "id" }, child.label.text ? child.label.id : ""));
    }
    const list = make("ul", {});
    const details = make("details", {}, make("summary", {}, make("strong", {}, count(child.n_labels)), " ",
      make("span", {}, child.examples.join("; "))), list);
    details.addEventListener("toggle", () => {
      if (details.open && !list.childElementCount) fill(list, child.level, child.node);
    });
    return make("li", {}, details);
  }

  function draw() {
    if (!state.model.n_trees) {
      byId("tree").replaceChildren(make("p", { className: "quiet" }, "This model shows no tree of its own."));
      return;
    }
    const key = `${state.model.name} ${state.model.generation} ${byId("tree-number").value}`;
    if (drawn === key) return;
    drawn = key;
    const list = make("ul", {});
    byId("tree").replaceChildren(list);
    fill(list, 0, 0);
  }

  byId("label-query").addEventListener("input", search);
  byId("tree-number").addEventListener("change", draw);

  return {
    open() {
      if (!state.model) return;
      search();
      draw();
    },
    modelChanged() {
      const numbers = Array.from({ length: state.model.n_trees }, (_, i) => make("option", { value: i }, i + 1));
      byId("tree-number").replaceChildren(...numbers);
      show(byId("tree-choice"), numbers.length > 1);
      drawn = null;
      if (!byId("view-labels").hidden) this.open();
    },
  };
}
