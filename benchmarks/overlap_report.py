"""Rows of the overlap benchmark to tables and a plot of gains."""

from __future__ import annotations

from pathlib import Path

from benchmarks.overlap import FIGURES
from benchmarks.report import Rows, mean, middle, panels, read

# column title, key of the row, digits
COLUMNS = [
    ("training, s", "fit_s", 2),
    ("matcher, s", "matcher_s", 2),
    ("assignment, s", "assignment_s", 2),
    ("batch, us/doc", "predict_us", 1),
    ("weights read", "weights_read", 0),
    ("slots", "slots", 0),
    ("most labels", "most_labels", 0),
    ("most cost", "most_cost", 0),
    ("cost", "cost", 0),
]


def grouped(rows: Rows) -> dict[str, dict[int, Rows]]:
    """Return rows by data set, part and settings, then by number of clusters."""
    groups: dict[str, dict[int, Rows]] = {}
    for row in rows:
        facts = {**row["settings"], **row.get("features", {})}
        settings = ", ".join(f"{key}={value}" for key, value in sorted(facts.items()))
        name = f"{row['data']}: {row['part']}" + (f" ({settings})" if settings else "")
        groups.setdefault(name, {}).setdefault(row["overlap"], []).append(row)
    return {name: dict(sorted(own.items())) for name, own in groups.items()}


def wins(groups: dict[int, Rows]) -> dict[int, int]:
    """Return, for each number of clusters, in how many of the six figures it is above one cluster."""
    return {
        overlap: sum(mean(rows, figure) > mean(groups[1], figure) for figure in FIGURES)
        for overlap, rows in groups.items()
        if overlap > 1 and 1 in groups
    }


def table(groups: dict[int, Rows]) -> list[str]:
    """Return a Markdown table, a row per number of clusters."""
    titles = ["lambda", *FIGURES, "better", *(title for title, *_ in COLUMNS)]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    better = wins(groups)
    for overlap, rows in groups.items():
        cells = [str(overlap), *(f"{mean(rows, figure):.2f}" for figure in FIGURES)]
        cells.append(f"{better[overlap]} of {len(FIGURES)}" if overlap in better else "")
        cells += [f"{middle(rows, key) or 0:,.{digits}f}" for _, key, digits in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def write(files: list[Path], to: Path) -> None:
    """Write overlap.md and overlap.svg into a folder."""
    rows = read(files)
    groups = grouped(rows)
    lines = ["# Labels in several clusters", ""]
    lines += [
        f"Machine: {rows[0]['machine']}; {rows[0]['threads']} threads. Figures are means over seeds, others medians.",
        "",
    ]
    for name, own in groups.items():
        lines += [f"## {name}", "", *table(own), ""]
    to.mkdir(parents=True, exist_ok=True)
    (to / "overlap.md").write_text("\n".join(lines), encoding="utf-8")
    plot(groups, to / "overlap.svg")


def plot(groups: dict[str, dict[int, Rows]], path: Path) -> None:
    """Draw what each number of clusters gains over one."""
    shown = {name: own for name, own in groups.items() if 1 in own and len(own) > 1}
    with panels(path, max(1, len(shown))) as axes:
        for axis, (name, own) in zip(axes, shown.items(), strict=False):
            for measured in FIGURES:
                gains = [mean(rows, measured) - mean(own[1], measured) for rows in own.values()]
                style = "-" if measured.startswith("P@") else "--"
                axis.plot(list(own), gains, style, marker="o", markersize=3, label=measured)
            axis.axhline(0, color="#555555", linewidth=0.8)
            axis.set_title(name, fontsize=9)
            axis.set_xlabel("clusters per label at most")
        axes[0].set_ylabel("gain over one cluster, points")
