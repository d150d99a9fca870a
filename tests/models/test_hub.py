"""Models to and from a small server that speaks the Hub's calls: what is uploaded, the card, and errors."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

import ceiba
from ceiba import HybridClassifier, XRLinear
from ceiba.errors import HubError, InputError, ModelFormatError

hub = pytest.importorskip("huggingface_hub")

TEXTS = ["a red cat", "the grey seal", "a cat sat", "seal at sea"] * 3
LABELS = [["cat"], ["seal"], ["cat"], ["seal"]] * 3


class Hub(ThreadingHTTPServer):
    """Repositories in memory: branches of files by path."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: dict[str, bool | None] = {}
        self.large: dict[str, bytes] = {}
        self.agents: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, content=b"", status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code):
        self.answer({"error": code}, 404, X_Error_Code=code, X_Error_Message=code)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_PUT(self):
        self.server.large[self.path.rsplit("/", 1)[1]] = self.body()
        self.answer()

    def do_POST(self):
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        content, repos = self.body(), self.server.repos
        self.server.agents.add(self.headers.get("User-Agent", ""))
        if parts[:3] == ["api", "repos", "create"]:
            given = json.loads(content)
            name = f"{given['organization']}/{given['name']}"
            known = name in repos
            repos.setdefault(name, {"main": {}})
            private = given.get("private", given.get("visibility", "public") == "private")
            self.server.private.setdefault(name, private)
            return self.answer({"url": f"{self.server.address}/{name}"}, 409 if known else 200)
        if parts[:2] == ["api", "validate-yaml"]:
            return self.answer({"errors": [], "warnings": []})
        if parts[-2:] == ["objects", "batch"]:
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.server.address}/large/{each['oid']}"}}}
                for each in json.loads(content)["objects"]
            ]
            return self.answer({"transfer": "basic", "objects": objects})
        name, action, revision = "/".join(parts[2:4]), parts[4], parts[5]
        if action == "branch":
            repos[name].setdefault(revision, dict(repos[name]["main"]))
            return self.answer({})
        files = repos[name][revision]
        if action == "preupload":
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith("safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(content)["files"]
            ]
            return self.answer({"files": modes})
        for line in content.splitlines():
            change = json.loads(line)
            value = change["value"]
            if change["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif change["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif change["key"] == "deletedFile":
                files.pop(value["path"])
        return self.answer(
            {"commitUrl": f"{self.server.address}/{name}/commit/1", "commitOid": self.sha(name, revision)}
        )

    def sha(self, name, revision):
        content = json.dumps(
            sorted((path, len(data), hash(data)) for path, data in self.server.repos[name][revision].items())
        )
        return hashlib.sha1(f"{name} {revision} {content}".encode()).hexdigest()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        api = parts[0] == "api"
        name = "/".join(parts[2:4] if api else parts[:2])
        if name not in self.server.repos:
            return self.missing("RepoNotFound")
        branches = self.server.repos[name]
        revision = (parts[5] if len(parts) > 5 else "main") if api else parts[3]
        revision = next((each for each in branches if revision in (each, self.sha(name, each))), None)
        if revision is None:
            return self.missing("RevisionNotFound")
        files = branches[revision]
        if api and len(parts) > 4 and parts[4] == "tree":
            listed = [{"type": "file", "path": path, "size": len(data), "oid": "0"} for path, data in files.items()]
            return self.answer(listed)
        if api:
            listed = [{"rfilename": path} for path in files]
            return self.answer({"id": name, "sha": self.sha(name, revision), "siblings": listed})
        data = files.get("/".join(parts[4:]))
        if data is None:
            return self.missing("EntryNotFound")
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        return self.answer(data, ETag=etag, X_Repo_Commit=self.sha(name, revision))


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def model():
    return XRLinear(n_trees=1, random_state=0, n_jobs=1).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def with_texts():
    model = HybridClassifier(random_state=0, fusion="logistic", n_jobs=1, include_training_texts=True)
    return model.fit(TEXTS, LABELS)


def test_there_and_back(server, model):
    url = model.push_to_hub("me/cats", figures={"P@1": 91.234, "ECE": 0.0123, "n": 4000}, token="x")
    assert url.startswith(server.address)
    loaded = ceiba.from_pretrained("me/cats")
    assert type(loaded) is XRLinear
    for mine, its in zip(model.predict_topk(TEXTS, 2), loaded.predict_topk(TEXTS, 2), strict=True):
        assert mine.tolist() == its.tolist()
    files = server.repos["me/cats"]["main"]
    assert {path.rsplit(".", 1)[-1] for path in files} <= {"md", "json", "safetensors"}
    assert all(agent.startswith("ceiba/") for agent in server.agents)


def test_a_newer_model_takes_the_place_of_the_older(server, model, with_texts):
    with_texts.push_to_hub("me/cats", include_training_texts=False, token="x")
    model.push_to_hub("me/cats", token="x")
    assert type(ceiba.from_pretrained("me/cats")) is XRLinear
    files = server.repos["me/cats"]["main"]
    assert len([path for path in files if path.endswith("/model.json")]) == 1
    expected = model.predict_topk(TEXTS, 1)[0].tolist()
    assert ceiba.from_pretrained("me/cats").predict_topk(TEXTS, 1)[0].tolist() == expected


def test_revisions_and_the_cache(server, model):
    model.push_to_hub("me/cats", revision="v2", private=True, token="x")
    assert server.private == {"me/cats": True}
    assert not server.repos["me/cats"]["main"]
    assert len(ceiba.from_pretrained("me/cats", revision="v2").classes_) == 2
    server.repos.clear()
    assert len(ceiba.from_pretrained("me/cats", revision="v2", local_files_only=True).classes_) == 2


def test_training_texts_leave_by_an_explicit_word_only(server, with_texts):
    def everything():
        return b"".join(server.repos["me/cats"]["main"].values())

    with pytest.raises(InputError, match="include_training_texts"):
        with_texts.push_to_hub("me/cats", token="x")
    assert "me/cats" not in server.repos
    with_texts.push_to_hub("me/cats", include_training_texts=False, token="x")
    assert b"the grey seal" not in everything()
    assert not ceiba.from_pretrained("me/cats").has_training_texts
    assert with_texts.has_training_texts
    with_texts.push_to_hub("me/cats", include_training_texts=True, token="x")
    assert b"the grey seal" in everything()
    assert ceiba.from_pretrained("me/cats").has_training_texts


def test_the_card_says_what_there_is(server, with_texts):
    figures = {"P@1": np.float64(91.234), "ECE": 0.0123, "n": 4000}
    given = {"data": "Records of a library.", "language": "en", "license": "cc-by-4.0"}
    with_texts.push_to_hub("me/cats", figures=figures, include_training_texts=False, token="x", **given)
    card = server.repos["me/cats"]["main"]["README.md"].decode()
    header = hub.ModelCard(card).data.to_dict()
    assert header["language"] in ("en", ["en"])
    assert header["license"] == "cc-by-4.0"
    assert header["library_name"] == "ceiba"
    for words in ("Records of a library.", "91.23", "0.0123", "4,000", "from_pretrained", "fusion", "probabilities"):
        assert words in card
    assert "does not hold the training texts" in card


def test_the_card_shows_parameters_as_they_are(server):
    model = XRLinear(n_trees=1, vectorizer="tfidf").fit(TEXTS, LABELS)
    model.push_to_hub("me/cats", token="x")
    card = server.repos["me/cats"]["main"]["README.md"].decode()
    assert "beam\\_size" in card
    assert "not calibrated" in card


def test_a_damaged_file_is_found(server, model):
    model.push_to_hub("me/cats", token="x")
    files = server.repos["me/cats"]["main"]
    path = next(path for path in files if path.endswith("tree-0.safetensors"))
    files[path] = files[path][:-4] + b"\0\1\2\3"
    with pytest.raises(ModelFormatError, match="tree-0"):
        ceiba.from_pretrained("me/cats")


def test_what_is_not_there(server, model, monkeypatch):
    with pytest.raises(HubError, match="me/none"):
        ceiba.from_pretrained("me/none")
    model.push_to_hub("me/cats", token="x")
    with pytest.raises(HubError, match="revision"):
        ceiba.from_pretrained("me/cats", revision="v9")
    server.repos["me/other"] = {"main": {"README.md": b"hello"}}
    with pytest.raises(ModelFormatError):
        ceiba.from_pretrained("me/other")
    with pytest.raises(InputError, match="repo_id"):
        ceiba.from_pretrained("cats")
    with pytest.raises(InputError, match="figures"):
        model.push_to_hub("me/cats", figures={"P@1": "high"}, token="x")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="me/new"):
        model.push_to_hub("me/new", token="x")
    with pytest.raises(HubError, match="me/new"):
        ceiba.from_pretrained("me/new")
