"""Settings of a service: where it listens, how it batches, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from ceiba.errors import InputError, StorageError

_FEWEST_CHARACTERS = 16  # of a token


@dataclass(frozen=True)
class ServeSettings:
    """Limits and batching of a service; the command line has an option for the first nine.

    Attributes
    ----------
    host : str
        The address to listen on. Any other than a loopback one needs a token.
    port : int
    workers : int
        Processes. They map the same model files, so memory holds the weights once.
    token : str or None
        What clients must send as ``Authorization: Bearer TOKEN``.
    max_batch : int
        The most texts that are computed together.
    max_wait_ms : float
        How long a model with an encoder waits for more texts, in milliseconds. Other models do not wait.
    max_delay : float or None
        Seconds that a request may wait before its turn. One that would wait longer, at the speed of the last batches,
        is answered 503 at once. None: 0.25, and 2 where a model has an encoder.
    threads : int or None
        Batches that are computed at once, per process and model. None: one for each processor where a model has an
        encoder that computes there, else one.
    cors_origins : tuple of str
        Origins whose pages may call the service; none by default.
    max_queue : int
        The most texts that may wait, per process and model. A request beyond it is answered 503 at once.
    max_texts : int
        Texts of a request; NDJSON requests have no such limit.
    max_characters : int
        Of one text.
    max_body : int
        Bytes of a request's body.
    max_upload : int
        Bytes of an NDJSON request's body, which is kept on disk while it is answered.
    max_requests : int
        Requests that are read or answered at once, per process.
    max_k : int
        Labels per text.
    max_labels : int
        Labels of an answer: k times the number of texts.
    timeout : float
        Seconds a request may wait for its answer before it is answered 503, and seconds that its body may take.
    """

    host: str = "127.0.0.1"
    port: int = 8400
    workers: int = 1
    token: str | None = None
    max_batch: int = 64
    max_wait_ms: float = 5.0
    max_delay: float | None = None
    threads: int | None = None
    cors_origins: tuple[str, ...] = ()
    max_queue: int = 2048
    max_texts: int = 1000
    max_characters: int = 200_000
    max_body: int = 8 << 20
    max_upload: int = 1 << 30
    max_requests: int = 512
    max_k: int = 1000
    max_labels: int = 20_000
    timeout: float = 30.0

    def check(self) -> None:
        """Refuse an address that others can reach without a token.

        Raises
        ------
        InputError
        """
        if not is_loopback(self.host) and self.token is None:
            raise InputError(f"--host {self.host} can be reached by others: give --token FILE, or a loopback address.")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """Return the token in a file, without the white space around it.

    Raises
    ------
    StorageError
        When the file cannot be read.
    InputError
        When what it holds is no token.
    """
    try:
        token = path.expanduser().read_text("utf-8").strip()
    except OSError as error:
        raise StorageError(f"{path}: the token cannot be read", error) from error
    except UnicodeDecodeError:
        raise InputError(f"{path}: a token is printable ASCII.") from None
    if len(token) < _FEWEST_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(f"{path}: a token has {_FEWEST_CHARACTERS} or more printable ASCII characters, no space.")
    return token
