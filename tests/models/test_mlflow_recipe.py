"""The recipe of docs/how-to/log-with-mlflow.md, run as it is written; MLflow is no dependency."""

import os
import re
from pathlib import Path

import pytest

from ceiba import XRLinear

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "log-with-mlflow.md"
TEXTS = ["a red cat", "the grey seal", "a cat sat", "seal at sea"] * 3
LABELS = [["cat"], ["seal"], ["cat"], ["seal"]] * 3


def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_has_code_that_compiles():
    assert len(blocks()) == 3
    for number, code in enumerate(blocks()):
        compile(code, f"block {number}", "exec")


@pytest.mark.slow
def test_the_recipe_runs(tmp_path, monkeypatch):
    mlflow, pandas = pytest.importorskip("mlflow"), pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # of releases that ask for a database
    mlflow.set_tracking_uri(f"file://{tmp_path}/runs")
    wrapper, log, load = blocks()
    (tmp_path / "ceiba_model.py").write_text(wrapper, encoding="utf-8")
    model = XRLinear(n_trees=1, random_state=0).fit(TEXTS, LABELS)
    names = {"model": model, "texts_test": TEXTS, "y_test": LABELS}
    exec(log, names)
    exec(load, names)
    answers = names["served"].predict(pandas.DataFrame({"text": ["a cat"]}), params={"k": 1})
    assert answers["label"].tolist() == ["cat"]
    run = mlflow.get_run(names["logged"].run_id)
    assert float(run.data.metrics["P_at_1"]) == 100
    assert "beam_size" in run.data.params
    stored = [path for path in (tmp_path / "runs").rglob("*") if path.suffix in (".pkl", ".pickle")]
    assert not stored, stored
    assert os.listdir(tmp_path / "model")
