"""Files fetched over HTTP: resumed after a cut, checked in size and content, put in place in one step."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ceiba.errors import CeibaError, DataFormatError

ATTEMPTS = 5
PAUSE = 2.0
"""Seconds before the second attempt; doubled for each further one."""
_TIMEOUT = 30
_CHUNK = 1 << 18


class DownloadError(CeibaError, OSError):
    """A file could not be fetched: no such host, no such file, or a connection that keeps breaking."""


class _Cut(Exception):
    """The connection ended before the file did."""


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> str:
    """Download a file unless it is there, and return the SHA-256 of its content.

    The bytes go to ``target`` with ``.part`` added, which a later call continues where the server supports
    ranges and the file has not changed there; only a complete file gets its name.

    Parameters
    ----------
    url : str
        An http or https address.
    target : Path
        Where the file goes; its folder must exist.
    sha256 : str, default None
        What the SHA-256 must be, in hexadecimal.
    progress : callable, default None
        Called as ``progress("download", bytes_done, bytes_total)``; the total is 0 where the server does not
        tell it.

    Raises
    ------
    DownloadError
        If the file cannot be fetched; what has come so far stays for the next call.
    DataFormatError
        If the SHA-256 is another one; the file is deleted.
    """
    if not target.exists():
        part = target.with_name(target.name + ".part")
        _fetch_part(url, part, progress)
        found = _sha256(part)
        _require(url, found, sha256, part)
        os.replace(part, target)
        _state_file(part).unlink(missing_ok=True)
        return found
    found = _sha256(target)
    _require(url, found, sha256, target)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(url: str, found: str, wanted: str | None, path: Path) -> None:
    if wanted is not None and found != wanted.lower():
        path.unlink()
        _state_file(path).unlink(missing_ok=True)
        raise DataFormatError(f"{url}: the SHA-256 is {found}, expected {wanted.lower()}; the file was deleted.")


def _state_file(part: Path) -> Path:
    """Return where the server's mark of the version in ``part`` is kept, for a later call to compare."""
    return part.with_name(part.name + ".json")


def _fetch_part(url: str, part: Path, progress: Callable[[str, int, int], None] | None) -> None:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            return _continue(url, part, progress)
        except DownloadError:
            raise
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416:  # what is there is no beginning of this file
                    part.unlink(missing_ok=True)
                    reason = "the server refuses to continue it"
                elif error.code < 500 and error.code not in (408, 429):
                    raise DownloadError(f"{url}: the server answers {error.code} {error.reason}.") from None
                else:
                    reason = f"the server answers {error.code} {error.reason}"
        except urllib.error.URLError as error:
            reason = f"cannot connect ({error.reason})"
            if attempt == 0:  # no network, no such host, no trust: waiting does not help
                raise DownloadError(f"{url}: {reason}.") from None
        except ValueError as error:
            raise DownloadError(f"{url}: {error}.") from None
        except (OSError, http.client.HTTPException, _Cut) as error:
            reason = f"the connection broke ({error or type(error).__name__})"
    done = part.stat().st_size if part.exists() else 0
    kept = f"; {done} bytes are kept in {part} and the next call goes on from there" if done else ""
    raise DownloadError(f"{url}: {reason}, after {ATTEMPTS} attempts{kept}.")


def _continue(url: str, part: Path, progress: Callable[[str, int, int], None] | None) -> None:
    """Fetch what is missing of a part; _Cut or OSError when the connection ends too early."""
    request = urllib.request.Request(url, headers={"User-Agent": "ceiba", "Accept-Encoding": "identity"})
    have, state = _saved(url, part)
    if have and state.get("size") == have:
        return
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", state["version"])  # else the server sends the whole new file
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if response.status == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != have:
                part.unlink()
                raise _Cut("the server sent another range than was asked for")
            size = int(span[2])
        else:
            have, size = 0, int(response.headers.get("Content-Length") or 0)
        version = response.headers.get("ETag") or ""
        if not version or version.startswith("W/"):  # a weak mark does not promise the same bytes
            version = response.headers.get("Last-Modified") or ""
        with _writing(part):
            _state_file(part).write_text(json.dumps({"url": url, "version": version, "size": size}))
            file = part.open("ab" if have else "wb")
        with file:
            while chunk := response.read(_CHUNK):
                with _writing(part):
                    file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress("download", have, size)
    if size and have < size:
        raise _Cut(f"{have} of {size} bytes")
    if size and have > size:
        part.unlink()
        raise _Cut(f"{have} bytes instead of {size}")


@contextmanager
def _writing(part: Path) -> Iterator[None]:
    """Tell a full disk from a broken connection."""
    try:
        yield
    except OSError as error:
        raise DownloadError(f"{part}: cannot write ({error.strerror or error}).") from None


def _saved(url: str, part: Path) -> tuple[int, dict[str, Any]]:
    """Return the size of a part that can be continued, and what is known of it; (0, {}) to start again."""
    try:
        state = json.loads(_state_file(part).read_text())
        have = part.stat().st_size
    except (OSError, ValueError):
        return 0, {}
    if not isinstance(state, dict) or state.get("url") != url or not state.get("version"):
        return 0, {}
    return have, state
