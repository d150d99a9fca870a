// Why a label has its score: words of the text, the path down the tree, the sources.

import { labelName, make, plural } from "./dom.js";

/** Write a text with its marked words into an element. Offsets count code points, not JavaScript's units. */
export function showMarks(element, text, marks) {
  const letters = Array.from(text);
  const strongest = Math.max(1e-9, ...marks.map((mark) => Math.abs(mark.contribution)));
  const parts = [];
  let at = 0;
  for (const mark of marks) {
    const share = Math.abs(mark.contribution) / strongest;
    if (share < 0.03) continue;
    parts.push(letters.slice(at, mark.begin).join(""));
    const word = letters.slice(mark.begin, mark.end).join("");
    const side = mark.contribution > 0 ? "for" : "against";
    const marked = make("mark", { className: side, title: `${side}: ${mark.contribution.toFixed(3)}` }, word);
    marked.style.setProperty("--share", `${Math.round(15 + 85 * share)}%`);
    parts.push(marked);
    at = mark.end;
  }
  parts.push(letters.slice(at).join(""));
  element.replaceChildren(...parts);
}

const signed = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(2);

/** Return an element that shows an explanation. */
export function explanationOf(found) {
  const steps = found.steps.map((step, index) => {
    const last = index === found.steps.length - 1;
    const what = last ? "The label" : `A cluster of ${plural(step.n_labels, "label", "labels")}`;
    const features = step.features.slice(0, 6).map((feature) =>
      make(
        "li",
        { className: feature.contribution >= 0 ? "for" : "against" },
        make("span", { className: "feature" }, plainFeature(feature.feature)),
        " ",
        make("span", { className: "amount" }, signed(feature.contribution)),
      ),
    );
    return make(
      "li",
      {},
      make("p", {}, make("strong", {}, what), ` · margin ${signed(step.margin)}`),
      make("p", { className: "quiet" }, last ? step.examples.join("") : `such as ${step.examples.join("; ")}`),
      features.length ? make("ul", { className: "features", "aria-label": "Features" }, ...features) : make("p", { className: "quiet" }, "No word of the text counts here."),
    );
  });
  const path = [make("h3", {}, "Path down the tree"), make("ol", { className: "path" }, ...steps)];
  const sources = found.sources.filter((source) => source.score !== null || source.contribution !== null);
  return make(
    "div",
    {},
    ...(steps.length ? path : []),
    make("h3", {}, "Sources"),
    make("ul", { className: "features" }, ...sources.map(sourceOf)),
    ...(found.training_texts === null ? [] : nearestTexts(found.training_texts)),
  );
}

/** Return the training texts near to the text; only models that keep them have any. */
function nearestTexts(found) {
  const heading = make("h3", {}, "Nearest training texts");
  if (!found.length) return [heading, make("p", { className: "quiet" }, "No training text is near.")];
  const items = found.map((near) =>
    make(
      "li",
      { className: near.has_label ? "has-label" : "" },
      make("p", { className: "training-text" }, near.text),
      make(
        "p",
        { className: "quiet" },
        `${near.has_label ? "Has the label" : "Has other labels"} · similarity ${near.similarity.toFixed(2)} · `,
        near.labels.map(labelName).join("; ") || "no labels",
      ),
    ),
  );
  return [heading, make("ol", { className: "nearest" }, ...items)];
}

function sourceOf(source) {
  const facts = [];
  if (source.contribution !== null) facts.push(signed(source.contribution));
  if (source.rank !== null) facts.push(`rank ${source.rank}`);
  if (source.score !== null) facts.push(`score ${source.score.toFixed(3)}`);
  if (source.weight) facts.push(`weight ${source.weight.toFixed(2)}`);
  const side = (source.contribution ?? 0) >= 0 ? "for" : "against";
  return make("li", { className: side }, source.name, " ", make("span", { className: "amount" }, facts.join(", ")));
}

function plainFeature(name) {
  const [kind, ...rest] = name.split("__");
  if (rest.length && kind === "word") return rest.join("__");
  if (rest.length && kind === "char") return `…${rest.join("__").replaceAll(" ", "␣")}…`;
  return name;
}
