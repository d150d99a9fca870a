"""Counters of the service, as Prometheus reads them."""

from __future__ import annotations

import os
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Telemetry:
    """Counts requests, texts and seconds; of all processes together where there are several."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        names: dict[str, Any] = {"namespace": "ceiba", "registry": self._registry}
        self.requests = Counter("requests", "Requests answered.", ["route", "status"], **names)
        self.seconds = Histogram("request_seconds", "Seconds until an answer.", ["route"], buckets=_SECONDS, **names)
        self.texts = Counter("texts", "Texts computed.", ["model"], **names)
        self.batches = Counter("batches", "Calls of a model.", ["model"], **names)
        self.reloads = Counter("reloads", "New generations loaded.", ["model"], **names)

    def page(self) -> bytes:
        """Return the counters in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)


class Counted:
    """ASGI middleware that counts requests by their route, so that paths of clients make no series of their own."""

    def __init__(self, app: Any, *, telemetry: Telemetry):
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 499  # where nothing is sent, the client has gone

        async def noted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._telemetry.requests.labels(route, str(status)).inc()
            self._telemetry.seconds.labels(route).observe(time.perf_counter() - started)
