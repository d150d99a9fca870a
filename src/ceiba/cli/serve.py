"""``ceiba serve``: models over HTTP, with a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def serve(
    model_dirs: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Model folders; the first is the default.")
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen on; any but a loopback one needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port.")] = 8400,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    token: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Clients must send the token in this file.")
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="The most texts computed together.")] = 64,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, max=1000, help="How long a model with an encoder waits for more texts.")
    ] = 5.0,
    max_delay_ms: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=60_000,
            help="A request that would wait longer for its turn is answered 503.",
            show_default="250; with an encoder, 2000",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Batches computed at once.", show_default="1; with an encoder, one per processor"
        ),
    ] = None,
    cors: Annotated[list[str] | None, typer.Option(metavar="ORIGIN", help="Let pages of this origin call.")] = None,
) -> None:
    """Serve models over HTTP: an API, Annif's protocol, and a page.

    The page is at http://HOST:PORT/, the description of the API at /openapi.json, counters at /metrics. A model that is
    saved again in its folder is taken up within a second. Ctrl-C or a SIGTERM answers what is under way, then ends.
    Needs the extra ceiba[serve].
    """
    from ceiba.serve.settings import read_token

    check_extra("ceiba serve")
    serve_models(
        model_dirs,
        host=host,
        port=port,
        workers=workers,
        token=None if token is None else read_token(token),
        max_batch=max_batch,
        max_wait_ms=max_wait_ms,
        max_delay=None if max_delay_ms is None else max_delay_ms / 1000,
        threads=threads,
        cors_origins=tuple(cors or ()),
    )


def check_extra(purpose: str) -> None:
    """Refuse to go on without the packages of the service.

    Raises
    ------
    MissingExtraError
    """
    from importlib.util import find_spec

    from ceiba.errors import MissingExtraError

    for package in ("fastapi", "prometheus_client", "python_multipart", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve", purpose)


def serve_models(model_dirs: list[Path], **settings: Any) -> None:
    """Serve models until the process is told to end."""
    from ceiba.cli import output
    from ceiba.serve.run import run
    from ceiba.serve.settings import ServeSettings

    run(model_dirs, ServeSettings(**settings), started=lambda url: output.say(f"Serving on {url} (Ctrl-C ends)."))
