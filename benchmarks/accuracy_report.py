"""Rows of several systems to one table per data set, with the best of each figure marked, and how many are whose."""

from __future__ import annotations

from pathlib import Path

from benchmarks.overlap import FIGURES
from benchmarks.report import Rows, grouped, mean, middle, read

OWN = "ceiba"


def is_own(system: str) -> bool:
    """Tell whether a system is Ceiba with some settings or features."""
    return system.partition(" ")[0].partition(":")[0] == OWN


def measured(systems: dict[str, Rows]) -> dict[str, Rows]:
    """Return the rows that did not fail, of the systems that have any."""
    done = {system: [row for row in rows if "failed" not in row] for system, rows in systems.items()}
    return {system: rows for system, rows in done.items() if rows}


def best(systems: dict[str, Rows], figure: str) -> float:
    """Return the best mean of a figure; 0 without systems."""
    return max((mean(rows, figure) for rows in systems.values()), default=0.0)


def firsts(systems: dict[str, Rows], own: dict[str, Rows]) -> int:
    """Return in how many figures the best of some of Ceiba's systems is above all peers."""
    peers = {name: rows for name, rows in systems.items() if not is_own(name)}
    return sum(best(own, figure) > best(peers, figure) for figure in FIGURES)


def table(systems: dict[str, Rows]) -> list[str]:
    """Return a Markdown table, a row per system, with the best of each figure in bold."""
    titles = ["system", *FIGURES, "above all peers", "training, s", "batch, us/text"]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    done = measured(systems)
    bests = {figure: best(done, figure) for figure in FIGURES}
    for system, rows in systems.items():
        if system not in done:
            lines.append("| " + " | ".join([system, rows[0]["failed"], *[""] * (len(titles) - 2)]) + " |")
            continue
        rows = done[system]
        values = {figure: mean(rows, figure) for figure in FIGURES}
        cells = [system]
        cells += [f"**{value:.2f}**" if value == bests[figure] else f"{value:.2f}" for figure, value in values.items()]
        cells.append(f"{firsts(done, {system: rows})} of {len(FIGURES)}" if is_own(system) else "")
        for key, digits in (("train_total_s", 1), ("batch_us", 0)):
            value = middle(rows, key)
            cells.append("" if value is None else f"{value:,.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def write(files: list[Path], to: Path) -> None:
    """Write accuracy.md into a folder."""
    groups = grouped(read(files))
    counts = {}
    for name, systems in groups.items():
        done = measured(systems)
        counts[name] = firsts(done, {system: rows for system, rows in done.items() if is_own(system)})
    of = len(FIGURES)
    lines = ["# Accuracy beside other systems", ""]
    lines += [f"One of Ceiba's systems is first in {sum(counts.values())} of {of * len(groups)} figures.", ""]
    lines += [
        "Means over seeds; medians of seconds. Features are the set's own where a system does not name others.",
        "",
    ]
    for name, systems in groups.items():
        lines += [f"## {name}", "", f"{counts[name]} of {of}.", "", *table(systems), ""]
    to.mkdir(parents=True, exist_ok=True)
    (to / "accuracy.md").write_text("\n".join(lines), encoding="utf-8")
