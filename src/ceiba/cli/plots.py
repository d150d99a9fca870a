"""Drawings of `ceiba evaluate`; matplotlib is imported when something is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceiba.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from ceiba.cli.targets import Target
    from ceiba.metrics import FrequencyGroup, ReliabilityCurve

FORMATS = (".svg", ".png")


def plot_target(name: str, data: Path, model: Path, option: str = "--plot") -> Target:
    """Return where a drawing goes; errors come before any work.

    Raises
    ------
    InputError
        When the name has another suffix, or cannot be written to.
    MissingExtraError
        When matplotlib is not installed.
    """
    from ceiba.cli.targets import Target

    target = Target(name, [data], model=model)
    if Path(name).suffix.lower() not in FORMATS:
        raise InputError(f"{option} {name}: the name must end in {' or '.join(FORMATS)}.")
    new_figure()
    return target


def plot_reliability(curve: ReliabilityCurve, target: Target, *, title: str) -> None:
    """Draw a reliability diagram: the share of right pairs over their mean probability, and how many they are."""
    figure = new_figure(figsize=(5, 5.5))
    diagram, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    draw_curve(diagram, curve)
    diagram.set(ylabel="share of right labels", xlim=(0, 1), ylim=(0, 1), title=title)
    diagram.legend(loc="upper left", frameon=False)
    histogram.bar(curve.probability, curve.n_pairs, width=0.03, color="C0")
    histogram.set(xlabel="mean probability", ylabel="pairs", yscale="log")
    _save(figure, target)


def plot_groups(groups: list[FrequencyGroup], target: Target, *, k: int) -> None:
    """Draw precision and recall at k of labels that are rare and frequent in training."""
    figure = new_figure(figsize=(5, 4))
    axes = figure.subplots()
    for number, name in enumerate((f"P@{k}", f"R@{k}")):
        places = [at + 0.4 * (number - 0.5) for at in range(len(groups))]
        bars = axes.bar(places, [group.figures[name] for group in groups], width=0.36, label=name, color=f"C{number}")
        axes.bar_label(bars, fmt="%.1f")
    axes.set_xticks(
        range(len(groups)),
        [
            f"{group.name}\n{group.least:,}{'+' if group.most is None else f' to {group.most:,}'} training texts\n"
            f"{group.n_positives:,} positives"
            for group in groups
        ],
    )
    axes.set(ylabel="%", ylim=(0, 105))
    axes.legend(frameon=False)
    _save(figure, target)


def draw_curve(axes: Any, curve: ReliabilityCurve, *, color: str = "C0", diagonal: str = "0.6") -> None:
    """Draw the points of a reliability curve, and the diagonal of a perfect one."""
    axes.plot([0, 1], [0, 1], color=diagonal, linestyle="--", linewidth=1, label="perfectly calibrated")
    axes.plot(curve.probability, curve.frequency, marker="o", color=color, label=f"ECE {curve.error:.4f}")


def new_figure(**settings: Any) -> Any:
    """Return an empty figure; MissingExtraError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "A drawing") from None
    return Figure(layout="constrained", **settings)


def save_figure(figure: Any, file: Any, format: str, **rc: Any) -> None:
    """Write a figure whose bytes depend on nothing but its content.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    file : path or binary file
    format : str
        "svg" or "png".
    **rc : Any
        Settings of matplotlib, with "__" for a dot.
    """
    import matplotlib

    metadata = {"Date": None} if format == "svg" else {}
    settings = {name.replace("__", "."): value for name, value in rc.items()}
    with matplotlib.rc_context({"svg.hashsalt": "ceiba", **settings}):
        figure.savefig(file, format=format, metadata=metadata, dpi=150)


def _save(figure: Any, target: Target) -> None:
    with target.open() as file:
        save_figure(figure, file, target.names[0].suffix.lower().removeprefix("."))
