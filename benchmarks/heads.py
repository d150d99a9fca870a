"""What a step costs in the head alone, as labels grow: all clusters, a shortlist of them, or a sample of labels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.runner import append, machine

LEAF, CHILDREN, BEAM, BATCH = 16, 32, 10, 32  # as the Transformer models' defaults
LABELS_OF_A_TEXT = 3


def measure(numbers: list[int], out: Path, *, dim: int, threads: int, rounds: int = 7) -> None:
    """Time forward, backward and optimiser of the heads for each number of labels, and append a row for each."""
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
            "sampled_ms": round(1e3 * step_of_prototypes(n_labels, dim, rounds), 2),
        }
        append(out, row, ("labels", "clusters", "all_ms", "shortlist_ms", "sampled_ms"))


def step(clusters: int, dim: int, dense: bool, rounds: int) -> float:
    """Return the median seconds of a step on one batch of random embeddings."""
    import torch

    from ceiba.finetuning.linear_head import LinearHead
    from ceiba.finetuning.losses import softmax

    rng = np.random.default_rng(0)
    weight = rng.standard_normal((clusters, dim), np.float32)
    head = LinearHead(weight, np.zeros(clusters, np.float32), dense)
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


def step_of_prototypes(n_labels: int, dim: int, rounds: int) -> float:
    """Return the median seconds of a step on prototypes of labels, with a sampled softmax where there are many.

    There are as many texts as labels, three labels each, which is little beside the labels' means.
    """
    import torch

    from ceiba.encoders.encoder import Encoder
    from ceiba.finetuning.losses import shared_softmax
    from ceiba.finetuning.prototypes import PrototypeHead, membership_matrix
    from ceiba.finetuning.sampled_softmax import SampledCandidates

    rng = np.random.default_rng(0)
    labels = np.sort(np.column_stack([rng.permutation(n_labels) for _ in range(LABELS_OF_A_TEXT)])).ravel()
    ptr = np.arange(n_labels + 1) * LABELS_OF_A_TEXT
    Y = sp.csr_array((np.ones(len(labels), np.float32), labels, ptr), shape=(n_labels, n_labels))
    embeddings = np.broadcast_to(np.float32(dim**-0.5), (n_labels, dim))  # of the texts: one number in memory
    sums = rng.standard_normal((n_labels, dim), np.float32)
    head = PrototypeHead(embeddings, membership_matrix(np.arange(n_labels), Y), 20.0, 0.5, sums)
    sampled = SampledCandidates(None, Y, Encoder.max_full_softmax_nodes, 0)
    times = []
    for _ in range(rounds):
        rows = rng.choice(n_labels, BATCH, replace=False)
        batch = torch.nn.functional.normalize(torch.from_numpy(rng.standard_normal((BATCH, dim), np.float32)))
        batch.requires_grad_()
        started = time.perf_counter()
        nodes, *places = (torch.from_numpy(array) for array in sampled.candidates(rows, rows))
        shared_softmax(head(batch, nodes, rows), *places).backward()
        head.update(rows, batch.detach().numpy())
        times.append(time.perf_counter() - started)
    return float(np.median(times))
