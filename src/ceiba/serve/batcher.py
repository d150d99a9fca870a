"""A bounded queue of requests, and threads that compute them in batches: the event loop never computes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect

from ceiba.serve.errors import overloaded

logger = logging.getLogger("ceiba.serve")

_LISTEN_AFTER = 0.05  # seconds: most answers are there before, and need nobody who listens for the client to go
_MEMORY = 0.8  # what a batch counts beside the next one, in the seconds that a text takes
_FEW = 64  # texts that may wait in any case: one slow batch says little
_PAUSE = 0.02  # seconds between tries of a request that waits for room


@dataclass(eq=False)
class _Job:
    texts: Sequence[str]
    key: Hashable
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    deadline: float
    cancelled: bool = field(default=False)

    @property
    def given_up(self) -> bool:
        return self.cancelled or self.deadline < time.monotonic()


class Batcher:
    """Computes the texts of requests that wait together at once.

    Parameters
    ----------
    compute : callable
        ``compute(texts, key)`` returns a sequence of one result per text. It is called in the batcher's threads.
    max_batch : int
        The most texts of a call, unless one request has more.
    max_wait : float
        Seconds to wait for further requests before a call; 0 takes those that are there.
    max_queue : int
        The most texts that may wait.
    max_delay : float
        The most seconds that a request may wait before its turn, at the speed of the last batches.
    threads : int
    timeout : float
        Seconds after which a request that waits is given up.

    Notes
    -----
    Requests of one key are computed together, such as those that ask for the same allowed labels. Requests are taken
    in the order they came in. A request whose client has gone, or whose time is over, is not computed. When a call
    fails, its requests are computed one by one, so that none fails for what another holds.
    """

    def __init__(
        self,
        compute: Callable[[list[str], Any], Sequence[Any]],
        *,
        max_batch: int,
        max_wait: float,
        max_queue: int,
        max_delay: float,
        threads: int,
        timeout: float,
    ):
        self._compute, self._max_batch, self._max_wait = compute, max_batch, max_wait
        self._max_queue, self._max_delay, self._timeout = max_queue, max_delay, timeout
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._texts, self._seconds = 0.0, 0.0  # of the last batches, older ones count less
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name=f"batcher-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def full(self) -> bool:
        """Whether no further text may wait; read without the lock, so that a request can be refused unread."""
        return self._closed or self._waiting >= self._max_queue or self._is_late()

    async def submit(
        self,
        texts: Sequence[str],
        key: Hashable,
        *,
        gone: Callable[[], Awaitable[Any]] | None = None,
        patient: bool = False,
    ) -> Sequence[Any]:
        """Return one result per text.

        Parameters
        ----------
        texts : sequence of str
        key : hashable
        gone : callable or None, default=None
            ``await gone()`` returns once the client has gone.
        patient : bool, default=False
            Wait for room in the queue in place of an error.

        Raises
        ------
        ServiceError
            503, when too many texts wait already, the time is over, or the service ends.
        ClientDisconnect
            When the client has gone.
        """
        if not texts:
            return []
        loop = asyncio.get_running_loop()
        job = _Job(texts, key, loop, loop.create_future(), time.monotonic() + self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                while not self._enter(job):
                    if not patient or self._closed:
                        raise overloaded()
                    await asyncio.sleep(_PAUSE)
                with _listening(job, gone):
                    return await job.answer
        except TimeoutError:
            raise overloaded("The answer took too long. Ask again later, or for fewer texts.") from None
        finally:
            job.cancelled = True

    def close(self, timeout: float = 10.0) -> None:
        """Compute what waits, take nothing new, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _enter(self, job: _Job) -> bool:
        with self._changed:
            if self._has_no_room(job):
                self._drop_given_up()
            if self._closed or self._has_no_room(job):
                return False
            self._waiting += len(job.texts)
            self._jobs.append(job)
            self._changed.notify_all()
        return True

    def _has_no_room(self, job: _Job) -> bool:
        if not self._waiting:  # a request of more texts than may wait is taken when it is the only one
            return False
        return self._waiting + len(job.texts) > self._max_queue or self._is_late()

    def _is_late(self) -> bool:
        """Return whether the texts that wait take longer than a request may wait."""
        if self._waiting < _FEW:
            return False
        seconds_per_text = self._seconds / max(1.0, self._texts)
        return self._waiting * seconds_per_text > self._max_delay * len(self._threads)

    def _drop_given_up(self) -> None:
        self._jobs = deque(job for job in self._jobs if not job.given_up)
        self._waiting = sum(len(job.texts) for job in self._jobs)

    def _work(self) -> None:
        while jobs := self._next():
            try:
                self._answer(jobs)
            except Exception as error:
                for job in jobs:
                    try:
                        self._answer([job])
                    except Exception as own:
                        _deliver([(job, own)])
                if len(jobs) > 1:
                    logger.debug("a batch failed with %s; its requests were computed one by one", type(error).__name__)

    def _answer(self, jobs: Sequence[_Job]) -> None:
        texts, started = [text for job in jobs for text in job.texts], time.monotonic()
        results = self._compute(texts, jobs[0].key)
        with self._changed:
            self._texts = _MEMORY * self._texts + len(texts)
            self._seconds = _MEMORY * self._seconds + time.monotonic() - started
        begin, parts = 0, []
        for job in jobs:
            parts.append((job, results[begin : begin + len(job.texts)]))
            begin += len(job.texts)
        _deliver(parts)

    def _next(self) -> list[_Job]:
        """Return the next requests of one key; none once the queue is closed and empty."""
        with self._changed:
            while True:
                while self._jobs and self._jobs[0].given_up:
                    self._take(0)
                if self._jobs:
                    break
                if self._closed:
                    return []
                self._changed.wait()
            jobs = [self._take(0)]
            size = len(jobs[0].texts)
            until = time.monotonic() + self._max_wait
            while True:
                more = self._take_alike(jobs[0].key, self._max_batch - size)
                jobs += more
                size += sum(len(job.texts) for job in more)
                left = until - time.monotonic()
                if size >= self._max_batch or left <= 0 or self._closed:
                    return jobs
                self._changed.wait(left)

    def _take(self, index: int) -> _Job:
        job = self._jobs[index]
        del self._jobs[index]
        self._waiting -= len(job.texts)
        return job

    def _take_alike(self, key: Hashable, room: int) -> list[_Job]:
        taken: list[_Job] = []
        index = 0
        while index < len(self._jobs) and room > 0:
            job = self._jobs[index]
            if job.given_up:
                self._take(index)
            elif job.key != key or len(job.texts) > room:
                index += 1
            else:
                taken.append(self._take(index))
                room -= len(job.texts)
        return taken


@contextlib.contextmanager
def _listening(job: _Job, gone: Callable[[], Awaitable[Any]] | None) -> Iterator[None]:
    """Give a request up when its client goes; where the answer comes soon, nobody listens."""
    if gone is None:
        yield
        return
    listener: asyncio.Task[None] | None = None

    async def listen() -> None:
        await gone()
        if not job.answer.done():
            job.answer.set_exception(ClientDisconnect())

    def begin() -> None:
        nonlocal listener
        listener = job.loop.create_task(listen())

    timer = job.loop.call_later(_LISTEN_AFTER, begin)
    try:
        yield
    finally:
        timer.cancel()
        if listener is not None:
            listener.cancel()


def _deliver(parts: Sequence[tuple[_Job, Any]]) -> None:
    """Give each request its results, with one call of each event loop."""

    def hand_over(mine: list[tuple[_Job, Any]]) -> None:
        for job, result in mine:
            if job.answer.done():
                continue
            if isinstance(result, Exception):
                job.answer.set_exception(result)
            else:
                job.answer.set_result(result)

    for loop in {job.loop for job, _ in parts}:
        try:
            loop.call_soon_threadsafe(hand_over, [part for part in parts if part[0].loop is loop])
        except RuntimeError:  # the loop has ended, and its clients are gone
            logger.debug("an answer came after its event loop had ended")
