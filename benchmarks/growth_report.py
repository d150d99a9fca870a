"""Rows of the transformer benchmark to the time that XR- and X-Transformer take to the same accuracy."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import Rows, mean, middle, panels, read

XR, X = "xr-transformer", "x-transformer"
X_AT_RANDOM = "x-transformer, heads begun at random"  # as it was published
FIGURES = ("P@1", "P@5")  # the second differs less between seeds: it counts five labels of each text
Curve = list[tuple[float, float]]  # seconds and a figure, by the number of steps


def curves(rows: Rows, seconds: str = "fit_s", figure: str = "P@1") -> dict[int, dict[str, Curve]]:
    """Return, by the number of labels and the system, a figure against time: a point per number of steps.

    The time is that of training, or with "steps_s" that of the steps of fine-tuning alone.
    """
    groups: dict[int, dict[str, dict[int, Rows]]] = {}
    for row in rows:
        steps = sum(level["steps"] for level in row["levels"])
        row = {**row, "steps_s": sum(level["seconds"] for level in row["levels"])}
        of_labels = groups.setdefault(row["most_labels"], {})
        of_labels.setdefault(system_of(row), {}).setdefault(steps, []).append(row)
    return {
        n_labels: {
            system: [(middle(by[steps], seconds) or 0.0, mean(by[steps], figure)) for steps in sorted(by)]
            for system, by in own.items()
        }
        for n_labels, own in sorted(groups.items())
    }


def system_of(row: dict) -> str:
    """Return the name of a row's system, and of what it begins with."""
    at_random = row["system"] == X and row["settings"].get("head_init") == "random"
    return X_AT_RANDOM if at_random else row["system"]


def time_to(curve: Curve, target: float) -> float:
    """Return the seconds in which a curve first reaches a figure that it does reach, on a line between its points."""
    after = next(place for place, (_, figure) in enumerate(curve) if figure >= target)
    (t1, y1), (t0, y0) = curve[after], curve[max(0, after - 1)]
    return t1 if y1 == y0 else t0 + (t1 - t0) * (target - y0) / (y1 - y0)


def table(rows: Rows, figure: str) -> list[str]:
    """Return a Markdown table, a row per system beside XR and number of labels: the time to the best both reach.

    Where the first point of XR's curve is above it, the ratios are at least what they say.
    """
    found, steps_alone = (curves(rows, seconds, figure) for seconds in ("fit_s", "steps_s"))
    lines = [
        f"| beside XR-Transformer | labels | best {figure}, XR | the other "
        "| to the lower, XR, s | the other, s | ratio | steps alone, XR, s | the other, s | ratio |"
    ]
    lines.append("|" + " --- |" * 10)
    for other in (X, X_AT_RANDOM):
        for n_labels, own in found.items():
            if other not in own:
                continue
            best = [max(y for _, y in own[system]) for system in (XR, other)]
            sign = "> " if own[XR][0][1] > min(best) else ""
            cells = [other, f"{n_labels:,}", *(f"{value:.2f}" for value in best)]
            for by in (own, steps_alone[n_labels]):
                ours, theirs = (time_to(by[system], min(best)) for system in (XR, other))
                cells += [f"{ours:.1f}", f"{theirs:.1f}", f"{sign}{theirs / ours:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def write(files: list[Path], to: Path) -> None:
    """Write a table and a plot into a folder, named after the first file."""
    rows = [row for row in read(files) if row["system"] in (XR, X)]
    first = rows[0]
    lines = ["# Time to the same accuracy as the number of labels grows", ""]
    lines += [f"Machine: {first['machine']}; {first['threads']} threads. {first['data']}, {first['encoder']}.", ""]
    for figure in FIGURES:
        lines += [*table(rows, figure), ""]
    to.mkdir(parents=True, exist_ok=True)
    (to / f"{files[0].stem}.md").write_text("\n".join(lines), encoding="utf-8")
    plot(curves(rows), to / f"{files[0].stem}.svg")


def plot(found: dict[int, dict[str, Curve]], path: Path) -> None:
    """Draw P@1 against training time, a panel per number of labels."""
    with panels(path, len(found)) as axes:
        for axis, (n_labels, own) in zip(axes, found.items(), strict=True):
            for system, curve in own.items():
                axis.plot(*zip(*curve, strict=True), marker="o", markersize=3, label=system)
            axis.set_title(f"{n_labels:,} labels", fontsize=9)
            axis.set_xlabel("training, s")
            axis.set_xscale("log")
        axes[0].set_ylabel("P@1")
