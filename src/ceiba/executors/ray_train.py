"""Processes of a Ray cluster that work on one thing together, joined by torch.distributed; uses Ray Train."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from ceiba._shorten import one_line, shorten
from ceiba.errors import CeibaError, ClusterError
from ceiba.executors.executor import Arrays, PieceContext, PieceFunction
from ceiba.executors.failure import Failure
from ceiba.executors.ranks import is_first_process

_MOST_QUOTED = 400  # characters of an error of Ray Train
_LEAST_START = 60.0  # seconds until all processes run, as Ray Train has it


class Holder:
    """Keeps the result of the first process for the caller, wherever both are."""

    def __init__(self) -> None:
        self._result: Arrays | Failure | None = None

    def put(self, result: Arrays | Failure) -> None:
        """Keep a result."""
        self._result = result

    def get(self) -> Arrays | Failure | None:
        """Return what was kept."""
        return self._result


def run_together(
    ray: Any,
    function: PieceFunction,
    references: Mapping[str, Any],
    *,
    n_workers: int,
    n_threads: int,
    gpus: float,
    max_retries: int,
    start_timeout: float,
) -> Arrays:
    """Call a function in several processes at once, and return what the first one returned.

    They find each other by the variables that torchrun sets too. Where one dies, all begin again.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # on this node, with which the caller would die too: on another one the result could be lost
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    holder = ray.remote(num_cpus=0, scheduling_strategy=here)(Holder).remote()
    config = {"function": function, "inputs": dict(references), "n_threads": n_threads, "holder": holder}
    resources = {"CPU": float(n_threads)} | ({"GPU": gpus} if gpus else {})
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(max(_LEAST_START, start_timeout)))
    with tempfile.TemporaryDirectory() as storage:
        trainer = TorchTrainer(
            _process,
            train_loop_config=config,
            scaling_config=ScalingConfig(num_workers=n_workers, use_gpu=bool(gpus), resources_per_worker=resources),
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
            run_config=RunConfig(storage_path=storage, failure_config=FailureConfig(max_failures=max_retries)),
        )
        try:
            trainer.fit()
            found = ray.get(holder.get.remote())
        except Exception as error:
            words = shorten(one_line(error), _MOST_QUOTED)
            raise ClusterError(f"The processes that train together were lost: {words}") from error
    if isinstance(found, Failure):
        raise found.error
    if found is None:
        raise ClusterError("The processes that train together ended without a result.")
    return found


def _process(config: dict[str, Any]) -> None:
    """Do the work of one process; runs on a worker of Ray Train."""
    import ray

    inputs = {name: ray.get(reference) for name, reference in config["inputs"].items()}
    result: Arrays | Failure
    try:
        result = config["function"](**inputs, context=PieceContext(n_threads=config["n_threads"]))
    except CeibaError as error:
        result = Failure(error)
    if is_first_process():
        ray.get(config["holder"].put.remote(result))
