"""The pictures of the documentation: all systems at a glance, a label tree, reliability."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ceiba.cli.plots import draw_curve, new_figure, save_figure

RESULTS = Path(__file__).parent / "results"
SETS = {"debian": "54 thousand package descriptions", "yso-en, first 50000": "50,000 English titles"}
NAMES = {
    "ceiba": "Ceiba, 1 tree",
    "ceiba:preset=balanced": "Ceiba, 3 trees",
    "ceiba:preset=accurate": "Ceiba, accurate",
    "pecos": "PECOS, 1 tree",
    "pecos:n_trees=3": "PECOS, 3 trees",
    "omikuji": "omikuji, Parabel",
    "omikuji:variant=bonsai": "omikuji, Bonsai",
    "napkinxc": "napkinXC",
    "libmultilabel": "LibMultiLabel",
}
# where a name stands beside its point, so that no two names meet
SIDES = {
    "ceiba:preset=balanced": "right",
    "ceiba:preset=accurate": "left",
    "napkinxc": "right",
    "libmultilabel": "left",
}
BELOW = ("napkinxc", "omikuji:variant=bonsai", "pecos:n_trees=3")
OURS, PEERS, PALE = "#1f6f4a", "#8a8f98", "#d5d9df"
CHAPTER = "W"  # the categories of ICD-10-CM that begin so: falls, and contact with things and animals
SENTENCE = "struck by turtle"


def draw_all(out: Path, data: Path | None) -> list[Path]:
    """Draw every picture that can be drawn, reliability only where there is a data folder; return the files."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = [draw_systems(out / "systems.svg"), draw_tree(out / "tree.svg")]
    return drawn if data is None else [*drawn, draw_reliability(out / "reliability.svg", data)]


def draw_systems(path: Path) -> Path:
    """Draw P@1 against training time and against the latency of one document, from the rows of accuracy.jsonl."""
    figure = new_figure(figsize=(10, 7.2))
    axes = figure.subplots(len(SETS), 2)
    for row, (data, title) in zip(axes, SETS.items(), strict=True):
        points = measured(data)
        for plot, key, scale, label in (
            (row[0], "train_total_s", 1.0, "training, s"),
            (row[1], "one_p50_us", 1e-3, "one document, ms"),
        ):
            for system, figures in points.items():
                _point(plot, figures[key] * scale, figures["P@1"], system)
            plot.set(xscale="log", xlabel=label, ylabel="P@1", title=title)
            plot.margins(x=0.3, y=0.16)
            plot.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)


def measured(data: str) -> dict[str, dict[str, float]]:
    """Return the medians of each system on words alone, of rows made by one command on one machine."""
    rows = [json.loads(line) for line in (RESULTS / "accuracy.jsonl").read_text(encoding="utf-8").splitlines()]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["data"] == data and not row.get("features") and row["system"] in NAMES:
            found[row["system"]].append(row)
    keys = ("P@1", "train_total_s", "one_p50_us")
    return {system: {key: median(row[key] for row in own) for key in keys} for system, own in found.items()}


def _point(plot: Any, x: float, y: float, system: str) -> None:
    color = OURS if system.startswith("ceiba") else PEERS
    plot.plot(x, y, "o", color=color, markersize=7)
    place = {"xytext": (0, -14 if system in BELOW else 7), "ha": SIDES.get(system, "center")}
    plot.annotate(NAMES[system], (x, y), textcoords="offset points", fontsize=8, color=color, **place)


def draw_tree(path: Path) -> Path:
    """Train on one chapter of ICD-10-CM; draw the label tree, and where a beam search sends a sentence."""
    from ceiba import XRLinear
    from ceiba.data.icd import load_icd10cm

    coding = load_icd10cm()
    rows = [
        (text, [label for label in labels if len(label) == 3])
        for text, labels in zip(coding.train_texts, coding.train_labels, strict=True)
        if labels[-1].startswith(CHAPTER)
    ]
    texts, labels = [text for text, _ in rows], [own for _, own in rows]
    model = XRLinear(branching_factor=4, max_leaf_size=6, random_state=0).fit(texts, labels)
    top, scores = model.predict_topk([SENTENCE], k=1)
    answers = dict(zip(top[0], scores[0], strict=True))

    tree = model.trees_[0]
    pointers, slots = tree.child_ptrs, tree.slot_label
    figure = new_figure(figsize=(9, 11))
    plot = figure.subplots()
    places = [np.arange(len(slots), dtype=float)]  # from the labels up: a node stands amid its children
    reached = [np.array([model.classes_[label] in answers for label in slots])]
    for pointer in reversed(pointers):
        places.insert(0, np.array([places[0][a:b].mean() for a, b in pairwise(pointer)]))
        reached.insert(0, np.array([reached[0][a:b].any() for a, b in pairwise(pointer)]))
    for level, pointer in enumerate(pointers):
        for node, (begin, end) in enumerate(pairwise(pointer)):
            for child in range(begin, end):
                on = reached[level + 1][child]
                ends = (places[level][node], places[level + 1][child])
                style = {"color": OURS if on else PALE, "linewidth": 2.0 if on else 1.0, "zorder": 2 if on else 1}
                plot.plot((level, level + 1), ends, **style)
        plot.scatter(
            [level] * len(places[level]), places[level], s=24, zorder=3, c=np.where(reached[level], OURS, PEERS)
        )
    for height, label in zip(places[-1], slots, strict=True):
        code = str(model.classes_[label])
        score = f"  {answers[code]:.2f}" if code in answers else ""
        words = f"{code} {coding.descriptions[code]}"
        words = words if len(words) <= 58 else words[:55] + "..."
        color, weight = (OURS, "bold") if score else ("#4a4f57", "normal")
        plot.text(len(pointers) + 0.06, height, words + score, va="center", fontsize=7, color=color, weight=weight)
    plot.text(-0.06, places[0][0], f'"{SENTENCE}"', ha="right", va="center", fontsize=9, color=OURS)
    plot.set(xlim=(-0.9, len(pointers) + 2.6), ylim=(len(slots), -1.5))
    plot.axis("off")
    return _save(figure, path)


def draw_reliability(path: Path, data: Path) -> Path:
    """Train on 8,000 rows of a data folder, calibrate on 2,000, and draw what scores and probabilities say."""
    from benchmarks.data import read
    from ceiba import XRLinear, metrics

    train, test = read(data, 10_000, 10_000)
    texts, labels = [row["text"] for row in train], [row["labels"] for row in train]
    model = XRLinear().fit(texts[:8000], labels[:8000])
    figure = new_figure(figsize=(9, 4.6))
    for plot, method in zip(figure.subplots(1, 2, sharex=True, sharey=True), (None, "sigmoid"), strict=True):
        if method is not None:
            model.calibrate(texts[8000:], labels[8000:], method=method)
        scores = model.decision_function([row["text"] for row in test], 5)
        if method is not None:
            scores = model.predict_proba([row["text"] for row in test], 5)
        curve = metrics.reliability_curve([row["labels"] for row in test], scores, classes=model.classes_)
        draw_curve(plot, curve, color=OURS, diagonal=PEERS)
        title = "scores" if method is None else "after calibrate"
        plot.set(title=f"{title}: ECE {curve.error:.3f}", xlabel="mean score", ylabel="share of right labels")
        plot.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    save_figure(figure, path, "svg", svg__fonttype="none", font__family="sans-serif")
    return path
