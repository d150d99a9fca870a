"""The files of the how-to: a cloud's is what ``ray up`` takes, that of Kubernetes is a RayJob, with the same image."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
FOLDER = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture
def cluster():
    return yaml.safe_load((FOLDER / "ray-cluster.yaml").read_text("utf-8"))


@pytest.fixture
def job():
    return yaml.safe_load((FOLDER / "ray-job.yaml").read_text("utf-8"))


def test_the_cluster_file_fits_the_schema_of_ray(cluster):
    jsonschema = pytest.importorskip("jsonschema")
    found = importlib.util.find_spec("ray")
    if found is None:
        pytest.skip("ray is not installed")
    schema = Path(found.origin).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(cluster, json.loads(schema.read_text("utf-8")))


def test_ray_up_takes_the_cluster_file(cluster):
    util = pytest.importorskip("ray.autoscaler._private.util")
    ready = util.prepare_config(cluster)
    util.validate_config(ready)
    assert ready["head_node_type"] in ready["available_node_types"]
    for commands in (ready["head_start_ray_commands"], ready["worker_start_ray_commands"]):
        assert commands[-1].startswith("RAY_AUTH_MODE=token ray start")


def test_the_job_file_has_the_same_image_and_folder_everywhere(job):
    assert job["kind"] == "RayJob"
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    for pod in pods:
        assert {"name": "shared", "mountPath": "/shared"} in pod["containers"][0]["volumeMounts"]
        assert [volume["name"] for volume in pod["volumes"]] == ["shared"]


def test_both_use_the_image_that_the_how_to_builds(cluster, job):
    of_ray = re.search(r"^FROM rayproject/ray:([\d.]+)-py\d+$", (FOLDER / "ray.Dockerfile").read_text("utf-8"), re.M)
    spec = job["spec"]["rayClusterSpec"]
    image = spec["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    assert spec["rayVersion"] == of_ray[1]
    assert cluster["docker"]["image"] == image
    assert image in (FOLDER / "many-machines.md").read_text("utf-8")
