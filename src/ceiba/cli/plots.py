"""Drawings of `ceiba evaluate --plot`; matplotlib is imported when something is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceiba.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from ceiba.cli.targets import Target
    from ceiba.metrics import ReliabilityCurve

FORMATS = (".svg", ".png")


def plot_target(name: str, data: Path, model: Path) -> Target:
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
        raise InputError(f"--plot {name}: the name must end in {' or '.join(FORMATS)}.")
    _figure()
    return target


def plot_reliability(curve: ReliabilityCurve, target: Target, *, title: str) -> None:
    """Draw a reliability diagram: the share of right pairs over their mean probability, and how many they are."""
    import matplotlib

    figure = _figure()(figsize=(5, 5.5), layout="constrained")
    diagram, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    diagram.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    diagram.plot(curve.probability, curve.frequency, marker="o", color="C0", label=f"ECE {curve.error:.4f}")
    diagram.set(ylabel="share of right labels", xlim=(0, 1), ylim=(0, 1), title=title)
    diagram.legend(loc="upper left", frameon=False)
    histogram.bar(curve.probability, curve.n_pairs, width=0.03, color="C0")
    histogram.set(xlabel="mean probability", ylabel="pairs", yscale="log")
    format = target.names[0].suffix.lower().removeprefix(".")
    metadata = {"Date": None} if format == "svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": "ceiba"}), target.open() as file:
        figure.savefig(file, format=format, metadata=metadata, dpi=150)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "A reliability diagram") from None
    return Figure
