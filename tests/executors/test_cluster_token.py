"""A cluster that asks for a token: found with it, and one clear error without it or with another one."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.ray

DRIVER = "import sys; from ceiba.executors import RayExecutor; RayExecutor(sys.argv[1], connect_timeout=30).start()"


def environment(home, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", **more}


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """The home folders of the first machine, of one without a token, and of one with another token."""
    found = {name: tmp_path_factory.mktemp(name) for name in ("right", "none", "other")}
    for name, token in (("right", "a"), ("other", "b")):
        (found[name] / ".ray").mkdir()
        (found[name] / ".ray" / "auth_token").write_text(token * 64)
    return found


@pytest.fixture(scope="module")
def address(homes, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["start", "--head", "--block", "--port", port, "--num-cpus", 1, "--include-dashboard", "false"]
    words += ["--object-store-memory", 100 * 2**20]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *map(str, words)], env=environment(homes["right"]),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", f"127.0.0.1:{port}"]
    ready = environment(homes["right"], RAY_AUTH_MODE="token")
    limit = time.monotonic() + 120
    while subprocess.run(ask, env=ready, capture_output=True, check=False).returncode:
        assert head.poll() is None
        assert time.monotonic() < limit
    yield f"127.0.0.1:{port}"
    os.killpg(head.pid, signal.SIGTERM)
    head.wait(60)


def start(address, home, **more):
    ask = [sys.executable, "-c", DRIVER, address]
    return subprocess.run(ask, env=environment(home, **more), capture_output=True, text=True, timeout=200, check=False)


def test_a_token_in_its_place_is_taken(address, homes):
    found = start(address, homes["right"], RAY_AUTH_MODE="token")
    assert found.returncode == 0, found.stderr[-2000:]


@pytest.mark.parametrize(("home", "mode"), [("right", ""), ("none", ""), ("none", "token"), ("other", "token")])
def test_a_token_that_is_not_sent_is_named(address, homes, home, mode):
    found = start(address, homes[home], **({"RAY_AUTH_MODE": mode} if mode else {}))
    last = found.stderr.strip().splitlines()[-1]
    assert found.returncode
    assert "ClusterError" in last
    assert address in last
    assert "auth_token" in last
    assert "RAY_AUTH_MODE=token" in last
