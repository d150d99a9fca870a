"""Limits, the token, headers, counters, and the description of the API."""

import asyncio
import gzip
import json
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.serve.tools import problem, serving

from ceiba.errors import InputError, StorageError
from ceiba.serve.app import create_app
from ceiba.serve.served_model import Loaded
from ceiba.serve.settings import ServeSettings, is_loopback, read_token

TOKEN = "a-token-of-some-length"


def test_limits_of_bodies_and_texts(folder):
    with serving(folder, max_body=1000, max_texts=3, max_characters=50) as client:
        assert problem(client.post("/v1/predict", json={"texts": ["a" * 900]}), 413)["field"] == "texts.0"
        assert problem(client.post("/v1/predict", json={"texts": ["a"] * 4}), 413)["field"] == "texts"
        assert problem(client.post("/v1/explain", json={"text": "a" * 51, "label": "violin"}), 413)
        assert problem(client.post("/v1/predict", json={"texts": ["a" * 2000]}), 413)["code"] == "too_large"
        chunked = client.post(
            "/v1/predict",
            content=iter([b'{"texts": ["'] + [b"a" * 100] * 100),
            headers={"content-type": "application/json"},
        )
        assert problem(chunked, 413)
        # the media type of a stream does not lift the limit
        headers = {"content-type": "application/x-ndjson"}
        assert problem(client.post("/v1/predict", content=b"a" * 2000, headers=headers), 413)
        assert problem(client.post("/v1/projects/subjects/suggest", data={"text": "a" * 2000}), 413)
        assert client.post("/v1/predict", json={"texts": ["a" * 50] * 3}).status_code == 200


def test_uploads_have_a_limit_of_their_own(folder):
    with serving(folder, max_body=100, max_upload=1000) as client:
        headers = {"content-type": "application/x-ndjson"}
        assert client.post("/v1/predict.ndjson", content=b'"violin"\n' * 50, headers=headers).text.count("\n") == 50
        assert problem(client.post("/v1/predict.ndjson", content=b'"violin"\n' * 200, headers=headers), 413)


def test_too_many_requests_at_once_are_refused_with_a_time_to_come_back(folder):
    with serving(folder, max_requests=0) as client:
        answer = client.get("/v1/models")
        assert problem(answer, 503)["code"] == "overloaded"
        assert int(answer.headers["retry-after"]) >= 1


def test_a_busy_service_lives(folder):
    with serving(folder, max_requests=0) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert problem(client.get("/metrics"), 503)


@pytest.mark.parametrize("hosts", [("evil.example", "localhost"), ("localhost", "evil.example"), ("localhost",) * 2])
def test_two_hosts_are_no_host(client, hosts):
    answer = client.get("/v1/models", headers=[("host", host) for host in hosts])
    assert problem(answer, 400)["field"] == "host"


@pytest.mark.parametrize("path", ["predict", "predict.ndjson", "explain", "projects/subjects/suggest-batch"])
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br, gzip", "x"])
def test_a_compressed_body_is_refused(client, path, encoding):
    kind = "application/x-ndjson" if path.endswith("ndjson") else "application/json"
    content = gzip.compress(b'{"texts": ["violin"]}')
    headers = {"content-type": kind, "content-encoding": encoding}
    answer = client.post(f"/v1/{path}", content=content, headers=headers)
    assert problem(answer, 415)["field"] == "content-encoding"
    plain = client.post("/v1/predict", json={"texts": ["violin"]}, headers={"content-encoding": "identity"})
    assert plain.status_code == 200


def test_token(folder):
    with serving(folder, token=TOKEN) as client:
        for headers in (
            {},
            {"authorization": TOKEN},
            {"authorization": f"Basic {TOKEN}"},
            {"authorization": f"Bearer {TOKEN}x"},
        ):
            for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/projects", "/nothing"):
                answer = client.get(path, headers=headers)
                assert problem(answer, 401)["code"] == "unauthorized"
                assert answer.headers["www-authenticate"] == "Bearer"
        assert problem(client.post("/v1/predict", content=b"x" * 100), 401)
        for scheme in ("Bearer", "bearer"):
            assert client.get("/v1/models", headers={"authorization": f"{scheme} {TOKEN}"}).status_code == 200
        for path in ("/", "/healthz", "/readyz", "/static/index.html"):
            assert client.get(path).status_code == 200


def test_token_files(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    for content in ("", "short", "two words of a token", "läng enough but no ASCII", "a\x00" * 20):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="token"):
            read_token(file)
    with pytest.raises(StorageError, match="none"):
        read_token(tmp_path / "none")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_only_loopback_needs_no_token(host, loopback):
    assert is_loopback(host) is loopback
    if loopback:
        ServeSettings(host=host).check()
    else:
        with pytest.raises(InputError, match="--token"):
            ServeSettings(host=host).check()
        ServeSettings(host=host, token=TOKEN).check()


def test_headers_of_safety_and_no_cors(client):
    for path in ("/", "/v1/models", "/nothing", "/static/index.html"):
        headers = client.get(path, headers={"origin": "https://elsewhere.example"}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert not [name for name in headers if name.startswith("access-control")]
    preflight = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    assert client.options("/v1/predict", headers=preflight).status_code == 405


def test_cors_where_it_is_asked_for(folder):
    with serving(folder, cors_origins=("https://own.example",), token=TOKEN) as client:
        given = {"origin": "https://own.example"}
        assert client.get("/v1/models", headers=given).headers["access-control-allow-origin"] == "https://own.example"
        assert (
            "access-control-allow-origin"
            not in client.get("/v1/models", headers={"origin": "https://x.example"}).headers
        )
        preflight = {
            **given,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        assert client.options("/v1/predict", headers=preflight).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2f..%2fsettings.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/" + "a" * 5000,
        "/%0d%0aSet-Cookie:x=1",
        "/v1/projects/..%2f..",
        "/v1/models/",
        "/v1",
        "/static/..\\settings.py",
        "/docs",
        "/static/",
    ],
)
def test_hostile_paths_reach_nothing(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 405)
    assert problem(answer, answer.status_code)
    assert "set-cookie" not in answer.headers


def test_hostile_headers_are_not_repeated(client):
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "gopher"}
    for path in ("/", "/v1", "/v1/", "/static"):
        answer = client.get(path, headers=headers, follow_redirects=False)
        assert "evil" not in answer.text
        assert "evil" not in str(answer.headers)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1:8400", True),
        ("[::1]:8400", True),
        ("ceiba.localhost", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_without_a_token_only_names_of_this_machine_are_answered(folder, client, host, local):
    answer = client.get("/v1/models", headers={"host": host})
    if local:
        assert answer.status_code == 200
    else:
        assert problem(answer, 403)["field"] == "host"
    with serving(folder, token=TOKEN) as guarded:
        headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
        assert guarded.get("/v1/models", headers=headers).status_code == 200


def test_a_bug_is_a_plain_error_and_is_logged(client, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("ceiba.serve.routes.model_info", broken)
    with caplog.at_level(logging.ERROR, "ceiba.serve"):
        content = problem(client.get("/v1/models"), 500)
    assert "secret" not in json.dumps(content)
    assert "secret" in caplog.text


def test_counters(folder):
    with serving(folder) as client:
        for _ in range(3):
            client.post("/v1/predict", json={"texts": ["a", "b"]})
        client.get("/v1/" + "x" * 50)
        client.post("/v1/predict", json={})
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'ceiba_requests_total{route="/v1/predict",status="200"} 3.0' in answer.text
    assert 'ceiba_requests_total{route="/v1/predict",status="422"} 1.0' in answer.text
    assert 'ceiba_texts_total{model="subjects"} 6.0' in answer.text
    assert "xxxx" not in answer.text  # what clients ask for makes no series of its own
    assert re.search(r'ceiba_request_seconds_count\{route="/v1/predict"\} 4', answer.text)


def test_health(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    client.app.state.service.ready = False
    try:
        assert problem(client.get("/readyz"), 503)
        assert client.get("/healthz").status_code == 200
    finally:
        client.app.state.service.ready = True


def test_openapi_describes_every_route_with_examples(client):
    content = client.get("/openapi.json").json()
    schemas = content["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(content)))
    assert references <= set(schemas)
    assert "ValidationError" not in schemas
    expected = {
        "/v1/predict",
        "/v1/predict.ndjson",
        "/v1/explain",
        "/v1/labels",
        "/v1/models",
        "/v1/tree",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/projects",
        "/v1/projects/{project_id}/suggest",
        "/v1/projects/{project_id}/suggest-batch",
    }
    assert expected <= set(content["paths"])
    for path, operations in content["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert {"200", "401", "503"} <= set(operation["responses"]), path
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
    for name in ("PredictRequest", "ExplainRequest", "PredictAnswer", "Explanation", "LabelsAnswer", "Problem"):
        assert schemas[name]["examples"], name
    answers = {
        "/v1/predict": "PredictAnswer",
        "/v1/explain": "Explanation",
        "/v1/projects/{project_id}/suggest": "Suggestions",
    }
    for path, name in answers.items():
        schema = content["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{name}"}
    assert "security" not in content


def test_openapi_says_that_there_is_a_token(folder):
    with serving(folder, token=TOKEN) as client:
        content = client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert content["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_a_full_queue_refuses_at_once_and_answers_again_later(folder, monkeypatch):
    entered, release = threading.Event(), threading.Event()
    with serving(folder, max_queue=4, max_texts=10) as client:
        rank = Loaded.rank

        def slow(self, texts, k, **filters):
            entered.set()
            assert release.wait(20)
            return rank(self, texts, k, **filters)

        monkeypatch.setattr(Loaded, "rank", slow)

        def ask(n):
            return client.post("/v1/predict", json={"texts": ["violin"] * n})

        with ThreadPoolExecutor(4) as pool:
            first = pool.submit(ask, 1)
            assert entered.wait(20)
            waiting = pool.submit(ask, 4)
            for _ in range(200):
                if client.app.state.service.full:
                    break
                time.sleep(0.02)
            refused = ask(1)
            assert problem(refused, 503)["code"] == "overloaded"
            assert int(refused.headers["retry-after"]) >= 1
            assert client.get("/v1/models").status_code == 200  # what needs no queue is answered
            suggest = client.post("/v1/projects/subjects/suggest", data={"text": "violin"})
            assert problem(suggest, 503)
            release.set()
            assert first.result().status_code == 200
            assert len(waiting.result().json()["results"]) == 4
        assert ask(1).status_code == 200


def test_a_slow_body_ends(folder):
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": headers}
    scope |= {"query_string": b"", "raw_path": b"/v1/predict", "scheme": "http", "server": ("x", 80), "root_path": ""}
    sent = []

    async def receive():
        await asyncio.sleep(5)

    async def send(message):
        sent.append(message)

    app = create_app([folder], ServeSettings(timeout=0.2))
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408
