"""What is checked of a cluster before any work."""

import socket
import sys

import numpy as np
import pytest

from ceiba import XRLinear
from ceiba._native import isa
from ceiba.errors import ClusterError, InputError, MissingExtraError
from ceiba.executors import RayExecutor
from ceiba.executors.nodes import check_reachable, check_room, check_same, node_facts, worker_environment
from ceiba.executors.shared_files import n_bytes, write_shared


@pytest.mark.parametrize("package", ["Python", "ray", "ceiba", "numpy"])
def test_versions_that_differ_are_named_with_the_node(package):
    own = node_facts()
    check_same(own, {"first": dict(own), "second": dict(own)})
    with pytest.raises(ClusterError, match=r"second.*0\.0\.1") as caught:
        check_same(own, {"first": dict(own), "second": {**own, package: "0.0.1"}})
    assert package in str(caught.value)
    assert own[package] in str(caught.value)


def test_a_package_that_a_node_lacks_differs():
    with pytest.raises(ClusterError, match="numpy"):
        check_same({"numpy": "2"}, {"node": {}})


def test_sizes_and_files_of_shared_inputs(make_problem, tmp_path):
    X = make_problem().features
    arrays = [X.indptr, X.indices, X.data]
    assert 0 <= n_bytes(X) - sum(array.nbytes for array in arrays) < 2000
    file = write_shared({"X": X, "name": "a"}, tmp_path)
    found = file.load()
    assert found["name"] == "a"
    for mine, mapped in zip(arrays, (found["X"].indptr, found["X"].indices, found["X"].data), strict=True):
        np.testing.assert_array_equal(mine, mapped)
        assert not mapped.flags.writeable
    assert n_bytes(file) < 4000


def node(name, memory, cpus=2.0):
    return {"NodeManagerHostname": name, "Resources": {"object_store_memory": memory, "CPU": cpus}}


def test_room_is_needed_on_every_node_that_works():
    check_room(100, [node("a", 100), node("head", 1, cpus=0.0)], cure="")
    with pytest.raises(ClusterError, match=r"\bb\b.*Do this"):
        check_room(101e6, [node("a", 200e6), node("b", 100e6)], cure="Do this.")


@pytest.mark.parametrize("address", ["", "nowhere", "host:", "host:0", "host:70000", ":6379", "host:port"])
def test_addresses_that_are_none(address):
    with pytest.raises(InputError, match="HOST:PORT"):
        RayExecutor(address)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_workers", 0), ("threads_per_worker", -1), ("share", "post"), ("max_retries", -1), ("connect_timeout", -1)],
)
def test_parameters_are_checked_without_a_cluster(name, value):
    with pytest.raises(InputError, match=name):
        RayExecutor(**{name: value})


def test_without_ray_the_extra_is_named(monkeypatch, make_problem):
    monkeypatch.setitem(sys.modules, "ray", None)
    problem = make_problem()
    with pytest.raises(MissingExtraError, match=r"ceiba\[ray\]"):
        XRLinear().fit(problem.X, problem.Y, executor=RayExecutor())


def test_files_need_a_folder():
    with pytest.raises(InputError, match="work_dir"):
        RayExecutor(share="files")


def test_nobody_at_an_address_is_found_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ClusterError, match=address):
        check_reachable(address, 5)


def test_another_native_build_is_named_with_its_cure():
    own = node_facts()
    assert own["native build"] == isa
    with pytest.raises(ClusterError, match=r"second.*another.*CEIBA_ISA"):
        check_same(own, {"first": dict(own), "second": {**own, "native build": "another"}})


@pytest.mark.parametrize("given", [None, {"env_vars": {"A": "b"}}, {"working_dir": "w"}])
def test_workers_use_the_build_that_the_caller_chose(monkeypatch, given):
    monkeypatch.delenv("CEIBA_ISA", raising=False)
    assert worker_environment(given) == dict(given or {})
    monkeypatch.setenv("CEIBA_ISA", "v2")
    found = worker_environment(given)
    assert found["env_vars"]["CEIBA_ISA"] == "v2"
    assert found["env_vars"].items() >= (given or {}).get("env_vars", {}).items()
    assert worker_environment({"env_vars": {"CEIBA_ISA": "v3"}})["env_vars"] == {"CEIBA_ISA": "v3"}
