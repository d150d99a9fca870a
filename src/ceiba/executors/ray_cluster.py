"""The connection to a Ray cluster: bounded in time, and checked before any work."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ceiba._shorten import one_line
from ceiba.errors import ClusterError, MissingExtraError
from ceiba.executors.nodes import check_reachable, check_same, node_facts, worker_environment

_LOCAL = "local"
_LEAST_WAIT = 20.0  # seconds for a health check, which starts a Python of its own
_MOST_QUOTED = 300  # characters of an error of Ray
_TOKEN_CURE = "Set RAY_AUTH_MODE=token, and copy the file ~/.ray/auth_token of its first machine to this one."


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes
    ----------
    ray : module
        The module ray, connected.
    nodes : list of dict
        The nodes that can work, as ``ray.nodes()`` lists them.
    owned : bool
        Whether the connection was made here and is to be ended here.
    """

    ray: Any
    nodes: list[dict[str, Any]]
    owned: bool

    def cpus(self) -> list[int]:
        """Return the processors of each node."""
        return [int(node["Resources"]["CPU"]) for node in self.nodes]

    def has_gpu(self) -> bool:
        """Return whether a node has a GPU."""
        return any(node["Resources"].get("GPU", 0) >= 1 for node in self.nodes)


def require_ray() -> Any:
    """Return the module ray; MissingExtraError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere that was not asked for
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "RayExecutor") from error
    return ray


def connect(
    address: str | None,
    *,
    timeout: float,
    n_cpus: int | None,
    object_store_memory: int | None,
    runtime_env: Mapping[str, Any] | None,
) -> Cluster:
    """Connect to a cluster, or start one of this machine, and check its nodes.

    Parameters
    ----------
    address : str or None
        As for `RayExecutor`.
    timeout : float
        Seconds for a first answer of the cluster, and then of each node.
    n_cpus, object_store_memory : int or None
        Of a cluster that is started here.
    runtime_env : mapping or None
        Ray's environment of the workers.

    Returns
    -------
    Cluster
        Its nodes have the versions of this process.

    Raises
    ------
    ClusterError
        When there is no cluster at the address, a node does not answer, or versions differ.
    MissingExtraError
        When ray is not installed.
    """
    ray = require_ray()
    if ray.is_initialized():
        return _checked(Cluster(ray, [], False), timeout)
    address = address or os.environ.get("RAY_ADDRESS") or _LOCAL
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    environment = worker_environment(runtime_env)
    if environment:
        options["runtime_env"] = environment
    if address == _LOCAL:
        options.update(num_cpus=n_cpus, object_store_memory=object_store_memory, include_dashboard=False)
    elif address != "auto":
        check_reachable(address, timeout)
        _check_health(address, timeout)
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        ray.shutdown()
        cure = f" Does it ask for a token? {_TOKEN_CURE}" if address == "auto" else ""
        raise ClusterError(f"The Ray cluster {address!r} cannot be used: {one_line(error)}.{cure}") from error
    try:
        return _checked(Cluster(ray, [], True), timeout)
    except BaseException:
        ray.shutdown()
        raise


def _check_health(address: str, timeout: float) -> None:
    """Raise ClusterError where what answers at an address is no Ray cluster, for which Ray waits many minutes."""
    if address.startswith("ray://"):
        return
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    words = ""
    try:
        found = subprocess.run(ask, capture_output=True, timeout=max(timeout, _LEAST_WAIT), check=False)
        if found.returncode == 0:
            return
        words = " ".join(found.stderr.decode("utf-8", "replace").split())
    except subprocess.TimeoutExpired:
        pass
    if "token" in words.lower():
        raise ClusterError(f"The Ray cluster at {address} asks for a token. {_TOKEN_CURE}")
    raise ClusterError(
        f"What answers at {address} is no Ray cluster in good health. Is it another service, or a Ray of another "
        f"version? {words[-_MOST_QUOTED:]}".strip()
    )


def _checked(cluster: Cluster, timeout: float) -> Cluster:
    """Return the cluster with its nodes; ClusterError where one does not answer or differs from this process."""
    ray = cluster.ray
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise ClusterError("The Ray cluster has no node with a processor to work on.")
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=1)(node_facts)
    asked = {
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(): node
        for node in nodes
    }
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=timeout)
    if late:
        name = asked[late[0]]["NodeManagerHostname"]
        raise ClusterError(f"Node {name} of the Ray cluster did not answer within {timeout:g} seconds.")
    found = {}
    for reference in done:
        name = f"{asked[reference]['NodeManagerHostname']} ({asked[reference]['NodeID'][:8]})"
        try:
            found[name] = ray.get(reference)
        except Exception as error:  # ceiba cannot be imported there, or the node died
            words = one_line(error)[-_MOST_QUOTED:]
            raise ClusterError(f"Node {name} cannot run ceiba; is it installed there? {words}") from error
    check_same(node_facts(), found)
    return Cluster(ray, nodes, cluster.owned)
