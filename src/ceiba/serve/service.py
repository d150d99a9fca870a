"""The service's models, their queues, and the watch over new generations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ceiba._params import available_threads
from ceiba.serve.batcher import Batcher
from ceiba.serve.errors import ServiceError, overloaded
from ceiba.serve.served_model import Answer, Loaded, ServedModel, names_of
from ceiba.serve.settings import ServeSettings
from ceiba.serve.telemetry import Telemetry

T = TypeVar("T")

_WATCH_SECONDS = 1.0
_THREADS = 2  # that explain, search names and look up labels
_LINEAR_DELAY, _ENCODER_DELAY = 0.25, 2.0  # seconds that a request may wait before its turn, by default
_MOST_PENDING = 64  # calls that wait for those threads


class Options(NamedTuple):
    """What the texts that are computed together have in common."""

    loaded: Loaded
    k: int
    allowed: tuple[Any, ...] | None
    denied: tuple[Any, ...] | None


class Service:
    """Models that answer from any number of coroutines.

    Parameters
    ----------
    folders : sequence of Path
        Model folders. The first is the default.
    settings : ServeSettings
    """

    def __init__(self, folders: Sequence[Path], settings: ServeSettings):
        self.settings, self.telemetry = settings, Telemetry()
        names = names_of(folders)
        self._n_threads = max(1, available_threads(None) // settings.workers)
        folder_of = dict(zip(names, folders, strict=True))
        self.models = {name: ServedModel(name, folder, self._n_threads) for name, folder in folder_of.items()}
        self._batchers = {name: self._batcher(name, model) for name, model in self.models.items()}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="explain")
        self._pending = 0
        self._watcher: asyncio.Task[None] | None = None
        self.ready = False

    def start(self) -> None:
        """Begin to watch for new generations; called within the event loop."""
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        self.ready = True

    async def stop(self) -> None:
        """Answer what waits, and end."""
        self.ready = False
        if self._watcher is not None:
            self._watcher.cancel()
        await asyncio.to_thread(self._close)

    def model(self, name: str | None) -> ServedModel:
        """Return the model of a name, the first one for None.

        Raises
        ------
        ServiceError
            404, when there is none.
        """
        if name is None:
            return next(iter(self.models.values()))
        found = self.models.get(name)
        if found is None:
            raise ServiceError(404, f"There is no model {name!r}. GET /v1/models lists them.", "model")
        return found

    @property
    def full(self) -> bool:
        """Whether every queue is full."""
        return all(batcher.full for batcher in self._batchers.values())

    def check_texts(self, texts: Sequence[str], field: str = "texts") -> None:
        """Refuse too many texts and too long ones.

        Raises
        ------
        ServiceError
            413.
        """
        if len(texts) > self.settings.max_texts:
            raise ServiceError(
                413, f"A request has at most {self.settings.max_texts} texts. NDJSON has no limit.", field
            )
        most = self.settings.max_characters
        for number, text in enumerate(texts):
            if len(text) > most:
                raise ServiceError(413, f"A text has at most {most} characters.", f"{field}.{number}")

    def check_k(self, k: int, n_texts: int = 1) -> None:
        """Refuse more labels than an answer may hold.

        Raises
        ------
        ServiceError
            422.
        """
        if k > self.settings.max_k:
            raise ServiceError(422, f"k is at most {self.settings.max_k}.", "k")
        if k * n_texts > self.settings.max_labels:
            raise ServiceError(422, f"k times the number of texts is at most {self.settings.max_labels}.", "k")

    async def rank(
        self,
        model: ServedModel,
        texts: Sequence[str],
        *,
        k: int,
        loaded: Loaded | None = None,
        threshold: float | None = None,
        allowed: Sequence[str] | None = None,
        denied: Sequence[str] | None = None,
        gone: Callable[[], Awaitable[Any]] | None = None,
        patient: bool = False,
    ) -> tuple[Loaded, Sequence[Answer]]:
        """Return the best labels of each text, and the generation that found them.

        Parameters
        ----------
        model : ServedModel
        texts : sequence of str
        k : int
        loaded : Loaded or None, default=None
            The generation to ask; the newest when None.
        threshold : float or None, default=None
            Leave out labels of a lower score.
        allowed, denied : sequence of str, or None, default=None
            Names of labels.
        gone, patient
            See `Batcher.submit`.

        Raises
        ------
        ServiceError
            When a value cannot be used, or the queue is full.
        """
        loaded = loaded or model.current  # all texts of a request are answered by one generation
        if allowed is not None and not allowed:
            raise ServiceError(422, "No label is allowed.", "allowed")
        chosen: list[tuple[Any, ...] | None] = [None, None]
        if allowed is not None or denied is not None:
            lists = ((allowed, "allowed"), (denied, "denied"))
            chosen = await self.in_thread(lambda: [loaded.labels(names, field) for names, field in lists])
        found = await self._batchers[model.name].submit(
            texts, Options(loaded, k, chosen[0], chosen[1]), gone=gone, patient=patient
        )
        if threshold is None:
            return loaded, found
        return loaded, [_above(answer, threshold) for answer in found]

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function that computes in a thread of its own pool.

        Raises
        ------
        ServiceError
            503, when too many wait already, or the time is over.
        """
        if self._pending >= _MOST_PENDING:
            raise overloaded()
        self._pending += 1
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
        except TimeoutError:
            raise overloaded("The answer took too long. Ask again later.") from None
        finally:
            self._pending -= 1

    def _batcher(self, name: str, model: ServedModel) -> Batcher:
        settings = self.settings
        texts, batches = self.telemetry.texts.labels(name), self.telemetry.batches.labels(name)

        def compute(rows: list[str], key: Hashable) -> Sequence[Answer]:
            assert isinstance(key, Options)
            found = key.loaded.rank(rows, key.k, **_filters(key))
            texts.inc(len(rows))
            batches.inc()
            return found

        return Batcher(
            compute,
            max_batch=settings.max_batch,
            max_wait=settings.max_wait_ms / 1000 if model.current.has_encoder else 0.0,
            max_queue=settings.max_queue,
            max_delay=settings.max_delay or (_ENCODER_DELAY if model.current.has_encoder else _LINEAR_DELAY),
            threads=settings.threads or (self._n_threads if model.current.encodes_here else 1),
            timeout=settings.timeout,
        )

    def _close(self) -> None:
        for batcher in self._batchers.values():
            batcher.close()
        self._pool.shutdown(cancel_futures=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for name, model in self.models.items():
                if await asyncio.to_thread(model.refresh):
                    self.telemetry.reloads.labels(name).inc()


def _filters(key: Options) -> dict[str, list[Any]]:
    return {
        name: list(labels) for name, labels in (("allowed", key.allowed), ("denied", key.denied)) if labels is not None
    }


def _above(answer: Answer, threshold: float) -> Answer:
    n = sum(score >= threshold for score in answer.scores)
    return Answer(answer.labels[:n], answer.scores[:n])
