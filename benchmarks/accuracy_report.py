"""Rows of several systems to one table per data set, with the best of each figure marked, and how many are whose."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import Rows, middle, read

FIGURES = [f"{name}@{k}" for name in ("P", "PSP") for k in (1, 3, 5)]
OWN = "ceiba"


def grouped(rows: Rows) -> dict[str, dict[str, Rows]]:
    """Return the rows by data set, then by system and its features where those are not the usual ones."""
    groups: dict[str, dict[str, Rows]] = {}
    for row in rows:
        given = [f"{name}={value}" for name, value in row.get("features", {}).items()]
        system = row["system"] + (f" ({', '.join(given)})" if given else "")
        groups.setdefault(row["data"], {}).setdefault(system, []).append(row)
    return groups


def is_own(system: str) -> bool:
    """Tell whether a system is Ceiba with some settings or features."""
    return system.partition(" ")[0].partition(":")[0] == OWN


def mean(rows: Rows, key: str) -> float | None:
    """Return the mean of a figure over the rows that have it, that is over seeds."""
    values = [row[key] for row in rows if key in row]
    return sum(values) / len(values) if values else None


def best(systems: dict[str, Rows], figure: str) -> float:
    """Return the best mean of a figure; 0 where no system has it."""
    found = (mean(rows, figure) for rows in systems.values())
    return max((value for value in found if value is not None), default=0.0)


def firsts(systems: dict[str, Rows], own: dict[str, Rows]) -> int:
    """Return in how many figures the best of some of Ceiba's systems is above all peers."""
    peers = {name: rows for name, rows in systems.items() if not is_own(name)}
    return sum(best(own, figure) > best(peers, figure) for figure in FIGURES)


def table(systems: dict[str, Rows]) -> list[str]:
    """Return a Markdown table, a row per system, with the best of each figure in bold."""
    titles = ["system", *FIGURES, "above all peers", "training, s", "batch, us/text"]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    bests = {figure: best(systems, figure) for figure in FIGURES}
    for system, rows in systems.items():
        if all("failed" in row for row in rows):
            lines.append("| " + " | ".join([system, rows[0]["failed"], *[""] * (len(titles) - 2)]) + " |")
            continue
        cells = [system]
        for figure in FIGURES:
            value = mean(rows, figure)
            text = "" if value is None else f"{value:.2f}"
            cells.append(f"**{text}**" if value == bests[figure] else text)
        cells.append(f"{firsts(systems, {system: rows})} of {len(FIGURES)}" if is_own(system) else "")
        for key, digits in (("train_total_s", 1), ("batch_us", 0)):
            value = middle(rows, key)
            cells.append("" if value is None else f"{value:,.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def write(files: list[Path], to: Path) -> None:
    """Write accuracy.md into a folder."""
    groups = grouped(read(files))
    counts = {
        name: firsts(systems, {system: rows for system, rows in systems.items() if is_own(system)})
        for name, systems in groups.items()
    }
    of = len(FIGURES)
    lines = ["# Accuracy beside other systems", ""]
    lines += [f"One of Ceiba's systems is first in {sum(counts.values())} of {of * len(groups)} figures.", ""]
    lines += ["Means over seeds; medians of seconds. Features are words where a system does not name others.", ""]
    for name, systems in groups.items():
        lines += [f"## {name}", "", f"{counts[name]} of {of}.", "", *table(systems), ""]
    to.mkdir(parents=True, exist_ok=True)
    (to / "accuracy.md").write_text("\n".join(lines), encoding="utf-8")
