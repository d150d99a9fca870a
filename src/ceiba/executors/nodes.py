"""What must be the same on every node of a cluster, and what must fit."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ceiba._native import isa
from ceiba.errors import ClusterError, InputError

# packages whose version may change what is computed or how nodes understand each other
_PACKAGES = ("ray", "ceiba", "numpy", "scipy", "scikit-learn")
_BUILD = "native build"  # builds for other processors agree to rounding only
_BUILD_CHOICE = "CEIBA_ISA"


def version_of(package: str) -> str:
    """Return the version of an installed package; "source" for one that is run from its source."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "source"


def node_facts() -> dict[str, str]:
    """Return the versions of this process' Python and packages, and the build of Ceiba's core that it uses."""
    versions = {package: version_of(package) for package in _PACKAGES}
    return {"Python": platform.python_version(), **versions, _BUILD: isa}


def worker_environment(runtime_env: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return Ray's environment of the workers: as given, with the build of the core that this process chose."""
    found = dict(runtime_env or {})
    if _BUILD_CHOICE in os.environ:
        chosen = {_BUILD_CHOICE: os.environ[_BUILD_CHOICE]}
        found["env_vars"] = {**chosen, **found.get("env_vars", {})}
    return found


def check_same(own: Mapping[str, str], others: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ClusterError where a node has another version of something than this process.

    Parameters
    ----------
    own : mapping of str to str
        What `node_facts` returns here.
    others : mapping of str to mapping
        What it returned on each node, by the node's name.
    """
    for node, facts in others.items():
        for name, mine in own.items():
            theirs = facts.get(name, "none")
            if theirs != mine and name == _BUILD:
                raise ClusterError(
                    f"Node {node} uses Ceiba's native build {theirs}, this one {mine}: their processors differ, and "
                    f"so would the last digits. Set {_BUILD_CHOICE} for this command to a build that all nodes have, "
                    "such as v2."
                )
            if theirs != mine:
                raise ClusterError(
                    f"Node {node} has {name} {theirs}, this process has {mine}. "
                    f"Install the same version of {name} on every node."
                )


def check_room(needed: int, nodes: Sequence[Mapping[str, Any]], *, cure: str) -> None:
    """Raise ClusterError where the object store of a node is too small for what is sent to it.

    Parameters
    ----------
    needed : int
        Bytes.
    nodes : sequence of mapping
        As ``ray.nodes()`` lists them.
    """
    for node in nodes:
        room = int(node["Resources"].get("object_store_memory", 0))
        if node["Resources"].get("CPU") and room < needed:
            raise ClusterError(
                f"The object store of node {node['NodeManagerHostname']} has {room / 1e6:,.0f} MB, "
                f"but the training data needs {needed / 1e6:,.0f} MB on every node. {cure}"
            )


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two parts of an address; InputError where it is none."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"address must be 'auto', 'local' or HOST:PORT, such as 10.0.0.1:6379. Got {address!r}.")
    return host.strip("[]"), int(port)


def check_reachable(address: str, timeout: float) -> None:
    """Raise ClusterError where nothing answers at ``host:port`` within so many seconds.

    Ray itself would wait for minutes.
    """
    try:
        socket.create_connection(host_and_port(address), timeout=timeout).close()
    except OSError as error:
        raise ClusterError(
            f"No Ray cluster answers at {address} ({error.strerror or error}). "
            "Start one with 'ray start --head', or check the address and the firewall."
        ) from error
