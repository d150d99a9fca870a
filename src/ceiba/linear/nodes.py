"""The core's beam search over trained layers, as training and retrieval use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._native import core
from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.layer import Layer

# How the score of a node comes from its margin. The number is the core's; "log-" forms return logarithms.
COMBINE: dict[str, int] = core.COMBINE
COMBINE_NAMES = (*COMBINE, *(f"log-{name}" for name in COMBINE))
FORMS = {name: (COMBINE[name.removeprefix("log-")], name.startswith("log-")) for name in COMBINE_NAMES}

ALL_NODES = 2**31 - 1  # a beam wider than any level: search is exhaustive


def core_searcher(trees: Sequence[tuple[Sequence[Layer], NDArray[np.int32]]], n_labels: int) -> Any:
    """Return the core's searcher of trees, each given as its layers and the label at each slot of its bottom.

    Raises
    ------
    ValueError
        When an array of a layer is inconsistent; the message says which.
    """
    return core.Searcher(
        [
            {
                "features": layers[0].n_features,
                "layers": [layer.for_core() for layer in layers],
                "slot_label": slot_label,
            }
            for layers, slot_label in trees
        ],
        n_labels,
    )


def beam_nodes(
    layers: Sequence[Layer], X: FeatureMatrix, beam_size: int, combine: str, n_threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Return the nodes of the last layer that a beam search finds for each row: offsets, nodes and scores."""
    slots = np.arange(layers[-1].child_ptr[-1], dtype=np.int32)
    searcher = core_searcher([(layers, slots)], len(slots))
    number, logarithms = FORMS[combine]
    return searcher.beam_nodes(0, len(layers), *X.arrays(), beam_size, number, n_threads, logarithms)
