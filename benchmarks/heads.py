"""What a step costs in the head alone: all clusters of one level, or those of a shortlist, as labels grow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runner import append, machine

LEAF, CHILDREN, BEAM, BATCH = 16, 32, 10, 32  # as the Transformer models' defaults


def measure(numbers: list[int], out: Path, *, dim: int, threads: int, rounds: int = 7) -> None:
    """Time forward, backward and optimiser of both heads for each number of labels, and append a row for each."""
    import torch

    torch.set_num_threads(threads)
    for n_labels in numbers:
        clusters = -(-n_labels // LEAF)
        row = {
            "labels": n_labels,
            "clusters": clusters,
            "dim": dim,
            "threads": threads,
            "machine": machine(),
            "all_ms": round(1e3 * step(clusters, dim, True, rounds), 2),
            "shortlist_ms": round(1e3 * step(clusters, dim, False, rounds), 2),
        }
        append(out, row, ("labels", "clusters", "all_ms", "shortlist_ms"))


def step(clusters: int, dim: int, everything: bool, rounds: int) -> float:
    """Return the median seconds of a step on one batch of random embeddings."""
    import torch

    from ceiba.matchers.head import LevelHead, softmax

    rng = np.random.default_rng(0)
    weight = rng.standard_normal((clusters, dim), np.float32)
    head = LevelHead(weight, np.zeros(clusters, np.float32), everything)
    optimizer: Any = head.optimizer(1e-3)
    parents = -(-clusters // CHILDREN)
    times = []
    for _ in range(rounds):
        embeddings = torch.from_numpy(rng.standard_normal((BATCH, dim), np.float32)).requires_grad_()
        found = rng.integers(0, parents, (BATCH, BEAM))
        nodes = np.minimum((found[:, :, None] * CHILDREN + np.arange(CHILDREN)).reshape(BATCH, -1), clusters - 1)
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        margins = head(embeddings, torch.from_numpy(nodes), np.arange(len(nodes)))
        ones = torch.ones_like(margins)
        softmax(margins, ones, ones).backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    return float(np.median(times))
