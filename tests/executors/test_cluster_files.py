"""The files of the how-to: a cloud's is what ``ray up`` takes, that of Kubernetes is a RayJob."""

import importlib.util
import json
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
FOLDER = Path(__file__).parents[2] / "docs" / "how-to"


def test_the_cluster_file_fits_the_schema_of_ray():
    jsonschema = pytest.importorskip("jsonschema")
    found = importlib.util.find_spec("ray")
    if found is None:
        pytest.skip("ray is not installed")
    schema = Path(found.origin).parent / "autoscaler" / "ray-schema.json"
    content = yaml.safe_load((FOLDER / "ray-cluster.yaml").read_text("utf-8"))
    jsonschema.validate(content, json.loads(schema.read_text("utf-8")))


def test_the_job_file_has_the_same_image_and_folder_everywhere():
    job = yaml.safe_load((FOLDER / "ray-job.yaml").read_text("utf-8"))
    assert job["kind"] == "RayJob"
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    for pod in pods:
        assert {"name": "shared", "mountPath": "/shared"} in pod["containers"][0]["volumeMounts"]
        assert [volume["name"] for volume in pod["volumes"]] == ["shared"]
