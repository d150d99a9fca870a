"""Runs the service in one process or several, under uvicorn."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ceiba.errors import StorageError
from ceiba.serve.settings import ServeSettings

_CONFIG = "CEIBA_SERVE"
_GRACE_SECONDS = 20
_BACKLOG = 2048
_OPTIONS: dict[str, Any] = {
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "ws": "none",
    "log_level": "error",  # a line for each broken request would let anybody fill the log
    "backlog": _BACKLOG,
    "timeout_graceful_shutdown": _GRACE_SECONDS,
}


def run(folders: Sequence[Path], settings: ServeSettings, started: Callable[[str], Any] = lambda url: None) -> None:
    """Serve models until the process is told to end; requests under way are answered first.

    Parameters
    ----------
    folders : sequence of Path
        Model folders. The first is the default.
    settings : ServeSettings
    started : callable, default=nothing
        ``started(url)`` is called once the models are loaded and connections are taken.

    Raises
    ------
    InputError
        When the address is not loopback and there is no token, or a model cannot be served.
    StorageError
        When the address cannot be used.
    """
    settings.check()
    folders = [folder.resolve() for folder in folders]
    with _listen(settings.host, settings.port) as listener:
        settings = replace(settings, port=listener.getsockname()[1])
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{settings.port}/"
        if settings.workers == 1:
            _run_here(folders, settings, listener, lambda: started(url))
            return
    _run_workers(folders, settings, lambda: started(url))


def app_of_worker() -> Any:
    """Return the application of a worker process; the environment says where its settings are."""
    from ceiba.serve.app import create_app

    config = json.loads(Path(os.environ[_CONFIG]).read_text("utf-8"))
    given = config["settings"]
    given["cors_origins"] = tuple(given["cors_origins"])
    settings = ServeSettings(**given)
    return create_app([Path(folder) for folder in config["folders"]], settings)


def connections(settings: ServeSettings) -> Any:
    """Return what makes a connection with the limits of the settings; uvicorn's own without httptools."""
    if find_spec("httptools") is None or os.name != "posix":
        return "auto"
    from ceiba.serve.connection import BoundedConnection

    return partial(BoundedConnection, seconds=settings.timeout)  # can be pickled for the workers


def _run_here(
    folders: Sequence[Path], settings: ServeSettings, listener: socket.socket, started: Callable[[], Any]
) -> None:
    import uvicorn

    from ceiba.serve.app import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(folders, settings), http=connections(settings), **_OPTIONS))
    started()
    server.run(sockets=[listener])


def _run_workers(folders: Sequence[Path], settings: ServeSettings, started: Callable[[], Any]) -> None:
    import uvicorn

    from ceiba.serve.served_model import Loaded

    for folder in folders:  # a worker that cannot load its model would be started again without end
        Loaded(folder, 1)
    with tempfile.TemporaryDirectory(prefix="ceiba-serve-") as scratch:
        counters, config = Path(scratch, "counters"), Path(scratch, "settings.json")
        counters.mkdir()
        # in a file that nobody else may read: an environment is easier to look into, and there may be a token
        config.write_text(json.dumps({"folders": [str(f) for f in folders], "settings": asdict(settings)}), "utf-8")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counters)  # workers add their counts up there
        os.environ[_CONFIG] = str(config)
        started()
        uvicorn.run(
            "ceiba.serve.run:app_of_worker",
            factory=True,
            workers=settings.workers,
            http=connections(settings),
            host=settings.host,
            port=settings.port,
            **_OPTIONS,
        )


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that a port in use is found before models are loaded."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise StorageError(f"--host {host} --port {port} cannot be listened on", error) from error
    return listener
