"""The FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from ceiba import __version__
from ceiba.serve import annif, routes, schemas
from ceiba.serve.bodies import schemas_of
from ceiba.serve.errors import add_error_handlers
from ceiba.serve.middleware import Guard
from ceiba.serve.service import Service
from ceiba.serve.settings import ServeSettings
from ceiba.serve.telemetry import Counted

STATIC = Path(__file__).parent / "static"


def create_app(folders: Sequence[Path], settings: ServeSettings | None = None) -> FastAPI:
    """Return the application that serves models.

    Parameters
    ----------
    folders : sequence of Path
        Model folders.
    settings : ServeSettings or None, default=None

    Returns
    -------
    FastAPI

    Raises
    ------
    ModelFormatError, StorageError, InputError
        When a model cannot be loaded or served.
    """
    settings = settings or ServeSettings()
    service = Service(folders, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="Ceiba",
        version=__version__,
        summary="Ranks the few right labels of a text.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # such an answer would repeat the Host header of a request
    )
    app.state.service = service
    add_error_handlers(app)
    app.include_router(routes.router)
    app.include_router(annif.router)
    _describe(app, token=settings.token is not None)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # The first one added is the innermost.
    app.add_middleware(
        Guard,
        settings=settings,
        streamed=frozenset({routes.LINES_PATH}),
        queued=frozenset({routes.PREDICT_PATH}),
        full=lambda: service.full,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
        )
    app.add_middleware(Counted, telemetry=service.telemetry)
    return app


async def _page() -> Response:
    """Return the page."""
    return FileResponse(STATIC / "index.html")


def _describe(app: FastAPI, *, token: bool) -> None:
    """Complete the description of the API: bodies, errors, and the token."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            content = generated()
            components = content.setdefault("components", {})
            known = components.setdefault("schemas", {})
            known.update(schemas_of(*schemas.OF_BODIES, annif.Batch))
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of errors
                known.pop(name, None)
            if token:
                components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                content["security"] = [{"token": []}]
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
