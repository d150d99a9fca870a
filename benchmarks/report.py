"""Rows to tables and plots."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# column title, key of the row, digits, whether smaller is better (None: no ratio is taken)
COLUMNS = [
    ("tree + training, s", "train_total_s", 2, True),
    ("tree, s", "tree_s", 2, True),
    ("batch, us/doc", "batch_us", 1, True),
    ("one doc p50, us", "one_p50_us", 0, True),
    ("one doc p99, us", "one_p99_us", 0, True),
    ("model, MB", "model_mb", 1, True),
    ("loaded, MB", "loaded_mb", 0, True),
    ("peak over the input, MB", "train_over_input_mb", 0, True),
]
TEXT_COLUMNS = [
    (f"{case}: {what}", f"{case}: {what}_s", 2, True)
    for case in ("words", "words and pairs", "characters")
    for what in ("fit_transform", "transform")
] + [("one text p50, us", "one_text_p50_us", 0, True), ("one text p99, us", "one_text_p99_us", 0, True)]
COLOURS = {
    "ceiba": "#0b6e4f",
    "pecos": "#b5532d",
    "omikuji": "#5b5ea6",
    "napkinxc": "#8d8d3a",
    "libmultilabel": "#7a5195",
}

Rows = list[dict[str, Any]]


def read(files: Iterable[Path]) -> Rows:
    """Return the rows of all files."""
    return [
        json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.strip()
    ]


def grouped(rows: Rows) -> dict[str, dict[str, Rows]]:
    """Return the rows by data set, then by system and its features where those are not the set's usual ones."""
    groups: dict[str, dict[str, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        given = [f"{name}={value}" for name, value in row.get("features", {}).items()]
        groups[row["data"]][row["system"] + (f" ({', '.join(given)})" if given else "")].append(row)
    return groups


def mean(rows: Rows, key: str) -> float:
    """Return the mean of a figure over the rows, that is over seeds."""
    return statistics.mean(row[key] for row in rows)


def middle(rows: Rows, key: str) -> float | None:
    """Return the median of a figure over the rows that have it."""
    values = [row[key] for row in rows if key in row]
    return statistics.median(values) if values else None


def table(systems: dict[str, Rows], columns: list[tuple[str, str, int, bool]], base: str, accuracy: bool) -> list[str]:
    """Return a Markdown table: medians, their spread, and how many times better than `base`."""
    titles = ["system", *(["P@1/3/5", "PSP@1/3/5"] if accuracy else []), *(title for title, *_ in columns)]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    for system, rows in systems.items():
        cells = [system]
        if all("failed" in row for row in rows):
            lines.append("| " + " | ".join([system, rows[0]["failed"], *[""] * (len(titles) - 2)]) + " |")
            continue
        if accuracy:
            for name in ("P", "PSP"):
                figures = [middle(rows, f"{name}@{k}") for k in (1, 3, 5)]
                cells.append(" / ".join("" if figure is None else f"{figure:.1f}" for figure in figures))
        for _, key, digits, _ in columns:
            cells.append(_cell(rows, systems.get(base, []), key, digits, system == base))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(rows: Rows, base: Rows, key: str, digits: int, is_base: bool) -> str:
    value, reference = middle(rows, key), middle(base, key)
    if value is None:
        return ""
    values = [row[key] for row in rows if key in row]
    text = f"{value:.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    if reference is not None and not is_base and value > 0:
        text += f" **{reference / value:.1f}x**"
    return text


def slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of a least-squares line through points on log-log axes."""
    import numpy as np

    x, y = np.log10(np.array(points, float)).T
    return float(np.polyfit(x, y, 1)[0])


def write(files: list[Path], to: Path, base: str) -> None:
    """Write report.md and the plots into a folder."""
    rows = read(files)
    scale = [row for row in rows if row.get("scale")]
    text = [row for row in rows if row.get("text")]
    linear = [row for row in rows if not row.get("scale") and not row.get("text")]
    to.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Results",
        "",
        "Medians; the range where there are several runs; **n x**: times better than " + base + ".",
        "",
    ]
    for row in rows[:1]:
        lines += [f"Machine: {row['machine']}; {row['threads']} threads.", ""]
    for name, systems in grouped(linear).items():
        lines += [f"## {name}", "", *table(systems, COLUMNS, base, accuracy=True), ""]
    for name, systems in grouped(text).items():
        lines += [f"## {name}: from text", "", *table(systems, TEXT_COLUMNS, base, accuracy=False), ""]
    if scale:
        lines += ["## Growing numbers of labels", "", *scale_table(scale), ""]
    (to / "report.md").write_text("\n".join(lines), encoding="utf-8")
    plot(linear, scale, to)


def scale_table(rows: Rows) -> list[str]:
    """Return a table of training and prediction against the number of labels, and the slopes."""
    keys = ["labels", "documents", "columns"]
    shown = [("tree + training, s", "train_total_s"), ("batch, us/doc", "batch_us"), ("model, MB", "model_mb")]
    shown += [("peak while training, MB", "train_peak_mb"), ("P@1", "P@1")]
    lines = ["| system | labels | documents | features | " + " | ".join(t for t, _ in shown) + " |"]
    lines.append("|" + " --- |" * (4 + len(shown)))
    for row in rows:
        cells = [row["system"], *(f"{row[key]:,}" for key in keys)]
        cells += [row["failed"]] if "failed" in row else [f"{row[key]:.4g}" for _, key in shown]
        lines.append("| " + " | ".join(cells) + " |")
    for system, own in _by_system(rows).items():
        if len(own) > 1:
            lines += ["", f"{system}: training time grows as labels to the power of {slope(own):.2f}."]
    return lines


def _by_system(rows: Rows) -> dict[str, list[tuple[float, float]]]:
    points: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if "failed" not in row:
            points[row["system"]][row["labels"]].append(row["train_total_s"])
    return {s: [(n, statistics.median(v)) for n, v in sorted(by.items())] for s, by in points.items()}


@contextmanager
def panels(path: Path, n: int) -> Iterator[Any]:
    """Give n panels side by side to draw in, the first of which gets the legend, and save them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure: Any
    figure, axes = plt.subplots(1, n, figsize=(4 * n, 3.6), squeeze=False)
    yield axes[0]
    for axis in axes[0]:
        axis.grid(alpha=0.25)
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def plot(linear: Rows, scale: Rows, to: Path) -> None:
    """Draw accuracy against training time, latency and model size, and training time against labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    against = [
        ("train_total_s", "tree + training, s"),
        ("one_p50_us", "one document, us (p50)"),
        ("model_mb", "model, MB"),
    ]
    for name, systems in grouped([row for row in linear if "failed" not in row]).items():
        figure, axes = plt.subplots(2, 3, figsize=(12, 6.4), sharey="row", constrained_layout=True)
        for line, metric in zip(axes, ("P@1", "PSP@5"), strict=True):
            for axis, (key, title) in zip(line, against, strict=True):
                for system, rows in systems.items():
                    x, y = middle(rows, key), middle(rows, metric)
                    if x is None or y is None:
                        continue
                    colour = COLOURS.get(system.split(":")[0], "#555555")
                    ours = system.startswith("ceiba")
                    axis.scatter(x, y, color=colour, s=70 if ours else 40, zorder=3)
                    label = system.replace(":", "\n")
                    axis.annotate(label, (x, y), (6, 4), textcoords="offset points", color=colour, fontsize=8)
                axis.set_xscale("log")
                axis.margins(x=0.25, y=0.25)
                axis.grid(alpha=0.25, which="both")
                axis.set_xlabel(title)
            line[0].set_ylabel(metric)
        figure.suptitle(f"{name}: up and to the left is better")
        figure.savefig(to / f"{name.replace(', ', '-').replace(' ', '-')}.svg")
        plt.close(figure)
    if scale:
        figure, axis = plt.subplots(figsize=(6, 4.4), constrained_layout=True)
        for system, points in _by_system(scale).items():
            x, y = zip(*points, strict=True)
            colour = COLOURS.get(system.split(":")[0], "#555555")
            axis.plot(x, y, marker="o", color=colour, label=system)
            label = f"{system}: slope {slope(points):.2f}" if len(points) > 1 else system
            axis.annotate(label, (x[-1], y[-1]), (-4, 8), textcoords="offset points", ha="right", color=colour)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.grid(alpha=0.25, which="both")
        axis.set_xlabel("labels (as many documents)")
        axis.set_ylabel("tree + training, s")
        figure.savefig(to / "scale.svg")
        plt.close(figure)
