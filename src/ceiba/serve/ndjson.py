"""Large batches: a line of JSON for each text, answered by a line each."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple

from fastapi import Request

from ceiba.serve.errors import ServiceError
from ceiba.serve.json_response import to_bytes
from ceiba.serve.rendering import labels_of
from ceiba.serve.served_model import Loaded, ServedModel
from ceiba.serve.service import Service

logger = logging.getLogger("ceiba.serve")

_IN_MEMORY = 1 << 20  # bytes of a body; larger ones lie in a temporary file
_BYTES_PER_CHARACTER = 12  # of JSON, at most: two escapes


class Line(NamedTuple):
    """A line of a request: a text, or what is wrong with it."""

    id: Any
    text: str | None
    error: ServiceError | None = None


async def spooled(request: Request) -> IO[bytes]:
    """Read a body to its end before the first answer.

    Most clients read nothing before they have sent all. Answers sent meanwhile would fill the connection's buffers, and
    both sides would wait for each other.
    """
    file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the answer closes it
    try:
        async for chunk in request.stream():
            await asyncio.to_thread(file.write, chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def answers(
    service: Service, model: ServedModel, loaded: Loaded, file: IO[bytes], *, k: int, threshold: float | None
) -> AsyncIterator[bytes]:
    """Yield a line for each line of a file that is not blank."""
    while lines := await asyncio.to_thread(_read_lines, file, service):
        texts = [line.text for line in lines if line.text is not None]
        failed: ServiceError | None = None
        try:
            _, found = await service.rank(model, texts, k=k, loaded=loaded, threshold=threshold, patient=True)
        except ServiceError as error:
            failed = error
        except Exception as error:
            logger.exception("a block of lines failed: %s", type(error).__name__)
            failed = ServiceError(500, "The service failed. Its log says why.")
        ranked = iter([] if failed is not None else found)
        answered = []
        for line in lines:
            wrong = line.error or failed
            content = {"error": wrong.problem()} if wrong else {"labels": labels_of(loaded, next(ranked))}
            answered.append(content if line.id is None else {"id": line.id, **content})
        yield b"".join(to_bytes(answer) + b"\n" for answer in answered)


def _read_lines(file: IO[bytes], service: Service) -> list[Line]:
    """Return the next lines, as many as are computed at once."""
    most = service.settings.max_characters * _BYTES_PER_CHARACTER
    lines: list[Line] = []
    while len(lines) < service.settings.max_batch:
        raw = file.readline(most)
        if not raw:
            break
        if len(raw) == most and not raw.endswith(b"\n"):
            while (rest := file.readline(most)) and not rest.endswith(b"\n"):
                pass
            lines.append(Line(None, None, ServiceError(413, "The line is too long.", "text")))
        elif raw.strip():
            lines.append(_line(raw, service))
    return lines


def _line(raw: bytes, service: Service) -> Line:
    given: Any = None
    try:
        value = json.loads(raw.decode("utf-8-sig"))
        if isinstance(value, dict):
            given = value.get("id")
            given = given if type(given) in (str, int) else None  # a bool is an int
        text = value["text"] if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise ValueError
        text.encode()
        service.check_texts([text], "text")
    except ServiceError as error:
        return Line(given, None, ServiceError(error.status_code, error.detail, "text"))
    except UnicodeEncodeError:
        return Line(given, None, ServiceError(422, "The text holds half of a surrogate pair.", "text"))
    except (ValueError, KeyError, RecursionError):
        return Line(given, None, ServiceError(422, 'A line is {"text": "..."} or a JSON string.', "text"))
    return Line(given, text)
