"""Annif itself, with its ``http`` backend on this service. CEIBA_ANNIF names the command of Annif."""

import os
import subprocess

import pytest
from tests.serve.tools import corpus, process

import ceiba
from ceiba.features.tfidf import TfidfVectorizer

ANNIF = os.environ.get("CEIBA_ANNIF")
URI = "http://example.org/subjects/"


@pytest.mark.peers
@pytest.mark.skipif(not ANNIF, reason="CEIBA_ANNIF does not name the command of Annif")
def test_http_backend_of_annif_works_unchanged(tmp_path):
    texts, labels = corpus()
    names = sorted({name for row in labels for name in row if name.isalpha()})
    labels = [[f"{URI}{name}" for name in row if name.isalpha()] for row in labels]
    model = ceiba.XRLinear(vectorizer=TfidfVectorizer(), max_leaf_size=4, n_jobs=1, random_state=0)
    model.fit(texts, labels, label_texts={f"{URI}{name}": f"The {name}s" for name in names}).save(tmp_path / "subjects")
    (tmp_path / "subjects.tsv").write_text("".join(f"<{URI}{name}>\tThe {name}s\n" for name in names))

    def annif(*words, text=""):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [ANNIF, *words], input=text, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with process(tmp_path / "subjects") as (_, url):
        (tmp_path / "projects.cfg").write_text(
            "[ceiba]\nname=Ceiba\nlanguage=en\nbackend=http\nvocab=subjects\n"
            f"endpoint={url}/v1/projects/subjects/suggest\n"
        )
        annif("load-vocab", "subjects", "subjects.tsv", "--language", "en")
        found = [
            line.split("\t") for line in annif("suggest", "ceiba", "--limit", "3", text="violin violin").splitlines()
        ]
        assert found[0][:2] == [f"<{URI}violin>", "The violins"]
        expected = model.predict_topk(["violin violin"], k=3)
        assert [line[0] for line in found] == [f"<{label}>" for label in expected[0][0]]
        assert [float(line[2]) for line in found] == pytest.approx(expected[1][0].tolist(), abs=1e-3)
        assert "True" in annif("show-project", "ceiba")  # trained
