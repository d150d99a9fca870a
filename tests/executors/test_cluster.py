"""A cluster of three nodes of this machine: nodes and drivers that die, and what is refused before any work."""

import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from ceiba import XRLinear
from ceiba.errors import ClusterError
from ceiba.executors import RayExecutor
from ceiba.executors.work_folder import SUFFIX

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.ray

MEMORY = 150 * 2**20
KILLS = int(os.environ.get("CEIBA_KILLS", "20"))
SETTINGS = {"n_trees": 5, "random_state": 0, "branching_factor": 8, "max_leaf_size": 20}


class ThreeNodes:
    """A head and two nodes with a processor each; one of the two may be killed, and is replaced."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add(), self.add()]
        self.cluster.wait_for_nodes()

    def add(self):
        return self.cluster.add_node(num_cpus=1, object_store_memory=MEMORY)

    def kill_one(self, number):
        self.cluster.remove_node(self.nodes.pop(number), allow_graceful=False)

    def mend(self):
        while len(self.nodes) < 2:
            self.nodes.append(self.add())
        self.cluster.wait_for_nodes()


@pytest.fixture(scope="module")
def nodes():
    found = ThreeNodes()
    yield found
    ray.shutdown()
    found.cluster.shutdown()


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(2500, 300, 400, seed=1)


@pytest.fixture(scope="module")
def expected(problem, saved_bytes):
    return saved_bytes(XRLinear(**SETTINGS).fit(problem.X, problem.Y))


def killing(nodes, after, number):
    """Start a thread that kills a node after so many seconds."""

    def kill():
        time.sleep(after)
        nodes.kill_one(number)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_training_survives_a_node_killed_at_random_moments(nodes, problem, expected, saved_bytes):
    draw = random.Random(0)
    with RayExecutor(nodes.cluster.address) as executor:
        assert executor.n_workers == 3
        started = time.perf_counter()
        assert saved_bytes(XRLinear(**SETTINGS).fit(problem.X, problem.Y, executor=executor)) == expected
        seconds = time.perf_counter() - started
        for number in range(KILLS):
            thread = killing(nodes, draw.uniform(0, seconds), number % 2)
            try:
                model = XRLinear(**SETTINGS).fit(problem.X, problem.Y, executor=executor)
            finally:
                thread.join()
                nodes.mend()
            assert saved_bytes(model) == expected, number


@pytest.fixture(scope="module")
def predictions(problem, tmp_path_factory):
    """Save a model of texts and 4,000 rows, and what one process answers."""
    folder = tmp_path_factory.mktemp("predictions")
    draw = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in row) for row in draw.zipf(1.3, (4000, 30)) % 500]
    labels = [[f"l{text.split()[0]}"] for text in texts]
    XRLinear(random_state=0).fit(texts, labels).save(folder / "m")
    (folder / "t.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    assert command("predict", folder / "m", folder / "t.jsonl", "-o", folder / "one.parquet").wait() == 0
    return folder


def command(*words, **options):
    return subprocess.Popen([sys.executable, "-m", "ceiba", *map(str, words)], **options)


def answers(folder):
    return [row for shard in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(shard).to_pylist()]


def test_predictions_lose_and_double_no_row_when_nodes_die(nodes, predictions, tmp_path):
    draw, expected = random.Random(1), pq.read_table(predictions / "one.parquet").to_pylist()
    ask = ["predict", predictions / "m", predictions / "t.jsonl", "--engine", f"ray:{nodes.cluster.address}"]
    for number in range(max(1, KILLS // 10)):
        running = command(*ask, "-o", tmp_path / f"{number}", "--rows-per-file", 100, "--json")
        while not list((tmp_path / f"{number}").glob("part-*")) and running.poll() is None:
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 0.5))
        nodes.kill_one(number % 2)
        assert running.wait(120) == 0
        nodes.mend()
        assert answers(tmp_path / f"{number}") == expected


def test_a_prediction_whose_driver_is_killed_goes_on(nodes, predictions, tmp_path):
    ask = ["predict", predictions / "m", predictions / "t.jsonl", "--engine", f"ray:{nodes.cluster.address}"]
    ask += ["-o", tmp_path / "out", "--rows-per-file", 100, "--json"]
    first = command(*ask)
    while len(list((tmp_path / "out").glob("part-*"))) < 3:
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert 3 <= len(kept) < 40
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert command(*ask, "--resume").wait(120) == 0
    assert all(path.stat().st_mtime_ns == kept[path] for path in kept)
    assert answers(tmp_path / "out") == pq.read_table(predictions / "one.parquet").to_pylist()


DRIVER = """
import sys
import scipy.sparse as sp
from ceiba import XRLinear
from ceiba.executors import RayExecutor
address, data, work, model, settings = sys.argv[1:]
X, Y = sp.load_npz(data + "/X.npz"), sp.load_npz(data + "/Y.npz")
with RayExecutor(address, n_workers=1, work_dir=work) as executor:
    XRLinear(**eval(settings)).fit(X, Y, executor=executor).save(model)
"""


def test_a_training_whose_driver_is_killed_goes_on(nodes, problem, expected, tmp_path):
    sp.save_npz(tmp_path / "X.npz", problem.X)
    sp.save_npz(tmp_path / "Y.npz", problem.Y)
    work, model = tmp_path / "work", tmp_path / "m"
    ask = [sys.executable, "-c", DRIVER, nodes.cluster.address, str(tmp_path), str(work), str(model), str(SETTINGS)]
    first = subprocess.Popen(ask)
    while len(list(work.glob(f"*{SUFFIX}"))) < 2:
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {path: path.stat().st_mtime_ns for path in work.glob(f"*{SUFFIX}")}
    assert subprocess.run(ask, timeout=120, check=False).returncode == 0
    assert all(path.stat().st_mtime_ns == kept[path] for path in kept)
    found = {path.relative_to(model).as_posix(): path.read_bytes() for path in model.rglob("*") if path.is_file()}
    assert found == expected


def test_inputs_in_files_give_the_same_bytes(nodes, problem, expected, saved_bytes, tmp_path):
    with RayExecutor(nodes.cluster.address, share="files", work_dir=tmp_path / "work") as executor:
        assert saved_bytes(XRLinear(**SETTINGS).fit(problem.X, problem.Y, executor=executor)) == expected
    assert not list((tmp_path / "work").glob("shared-*"))


def test_an_object_store_too_small_is_found_before_the_work(nodes):
    n = MEMORY // 8 // 20
    X = sp.csr_array((np.ones(n * 25, np.float32), np.tile(np.arange(25, dtype=np.int32), n), np.arange(n + 1) * 25))
    Y = sp.csr_array((np.ones(n, np.float32), np.arange(n) % 5, np.arange(n + 1)))
    with (
        RayExecutor(nodes.cluster.address) as executor,
        pytest.raises(ClusterError, match=r"object store.*MB"),
    ):
        XRLinear(n_trees=3).fit(X, Y, executor=executor)


def test_another_service_at_the_address_is_found_in_bounded_time():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ray.shutdown()
    started = time.perf_counter()
    try:
        with pytest.raises(ClusterError, match=str(server.server_port)):
            RayExecutor(f"127.0.0.1:{server.server_port}", connect_timeout=5).start()
    finally:
        server.shutdown()
    assert time.perf_counter() - started < 60
