"""The queue: what is computed together, what is refused, what is given up."""

import asyncio
import threading
import time

import pytest
from starlette.requests import ClientDisconnect

from ceiba.serve.batcher import Batcher
from ceiba.serve.errors import ServiceError


class Gate:
    """Computes only once it is opened, and notes what it was asked."""

    def __init__(self):
        self.open, self.entered, self.calls = threading.Event(), threading.Event(), []

    def __call__(self, texts, key):
        self.calls.append((list(texts), key))
        self.entered.set()
        assert self.open.wait(20)
        if "bad" in texts:
            raise ValueError("a bad text")
        return [(text, key) for text in texts]


def batcher(gate, **changes):
    return Batcher(
        gate,
        **{
            "max_batch": 4,
            "max_wait": 0.0,
            "max_queue": 8,
            "max_delay": 20.0,
            "threads": 1,
            "timeout": 20.0,
            **changes,
        },
    )


async def held(gate, queue):
    """Let the thread be busy with a first request, so that all others wait."""
    first = asyncio.create_task(queue.submit(["first"], "a"))
    await asyncio.to_thread(gate.entered.wait, 20)
    return first


def test_requests_that_wait_are_computed_together():
    async def scenario():
        gate = Gate()
        queue = batcher(gate)
        first = await held(gate, queue)
        waiting = [asyncio.create_task(queue.submit([str(i)], "ab"[i == 2])) for i in range(6)]
        await asyncio.sleep(0.05)
        gate.open.set()
        assert [await task for task in waiting] == [[(str(i), "ab"[i == 2])] for i in range(6)]
        assert await first == [("first", "a")]
        # in batches of four, each of one key; the order within a key is kept
        assert gate.calls[1:] == [(["0", "1", "3", "4"], "a"), (["2"], "b"), (["5"], "a")]
        queue.close()

    asyncio.run(scenario())


def test_a_large_request_is_not_torn():
    async def scenario():
        gate = Gate()
        gate.open.set()
        queue = batcher(gate)
        texts = [str(i) for i in range(20)]
        assert await queue.submit(texts, "a") == [(text, "a") for text in texts]
        assert gate.calls == [(texts, "a")]
        queue.close()

    asyncio.run(scenario())


def test_more_than_the_queue_holds_is_refused_at_once():
    async def scenario():
        gate = Gate()
        queue = batcher(gate)
        first = await held(gate, queue)
        tasks = [asyncio.create_task(queue.submit(["a", "b"], "a")) for _ in range(4)]
        await asyncio.sleep(0.05)
        assert queue.full
        with pytest.raises(ServiceError) as refused:
            await queue.submit(["one more"], "a")
        assert refused.value.status_code == 503
        assert refused.value.headers["Retry-After"]
        patient = asyncio.create_task(queue.submit(["patient"], "a", patient=True))
        await asyncio.sleep(0.05)
        gate.open.set()
        await asyncio.gather(first, *tasks)
        assert await patient == [("patient", "a")]
        queue.close()

    asyncio.run(scenario())


def test_requests_given_up_make_room_and_are_not_computed():
    async def scenario():
        gate = Gate()
        queue = batcher(gate)
        first = await held(gate, queue)
        cancelled = [asyncio.create_task(queue.submit(["x"] * 4, "a")) for _ in range(2)]
        await asyncio.sleep(0.05)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        last = asyncio.create_task(queue.submit(["y"] * 8, "a"))
        await asyncio.sleep(0.05)
        gate.open.set()
        await first
        assert len(await last) == 8
        assert not [texts for texts, _ in gate.calls if "x" in texts]
        queue.close()

    asyncio.run(scenario())


def test_a_client_that_goes_is_given_up():
    async def scenario():
        gate, end = Gate(), asyncio.Event()
        queue = batcher(gate)
        first = await held(gate, queue)
        task = asyncio.create_task(queue.submit(["x"], "a", gone=end.wait))
        await asyncio.sleep(0.15)
        end.set()
        with pytest.raises(ClientDisconnect):
            await asyncio.wait_for(task, 10)
        gate.open.set()
        await first
        assert await queue.submit(["y"], "a") == [("y", "a")]
        assert not [texts for texts, _ in gate.calls if "x" in texts]
        queue.close()

    asyncio.run(scenario())


def test_a_request_that_waits_too_long_is_refused():
    async def scenario():
        gate = Gate()
        queue = batcher(gate, timeout=0.1)
        with pytest.raises(ServiceError) as refused:
            await queue.submit(["slow"], "a")
        assert refused.value.status_code == 503
        gate.open.set()
        queue.close()

    asyncio.run(scenario())


def test_a_failure_reaches_only_the_request_that_caused_it():
    async def scenario():
        gate = Gate()
        queue = batcher(gate)
        first = await held(gate, queue)
        good = [asyncio.create_task(queue.submit([name], "a")) for name in ("x", "y")]
        bad = asyncio.create_task(queue.submit(["bad"], "a"))
        await asyncio.sleep(0.05)
        gate.open.set()
        await first
        assert [await task for task in good] == [[("x", "a")], [("y", "a")]]
        with pytest.raises(ValueError, match="bad"):
            await bad
        assert await queue.submit(["after"], "a") == [("after", "a")]
        queue.close()

    asyncio.run(scenario())


def test_closing_answers_what_waits_and_takes_nothing_new():
    async def scenario():
        gate = Gate()
        queue = batcher(gate)
        first = await held(gate, queue)
        waiting = asyncio.create_task(queue.submit(["x"], "a"))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(asyncio.to_thread(queue.close))
        await asyncio.sleep(0.05)
        with pytest.raises(ServiceError):
            await queue.submit(["late"], "a")
        gate.open.set()
        await closing
        assert await first == [("first", "a")]
        assert await waiting == [("x", "a")]

    asyncio.run(scenario())


def test_a_wait_gathers_requests_that_come_soon():
    async def scenario():
        gate = Gate()
        gate.open.set()
        queue = batcher(gate, max_wait=0.5, max_batch=3)
        tasks = []
        for i in range(3):
            tasks.append(asyncio.create_task(queue.submit([str(i)], "a")))
            await asyncio.sleep(0.02)
        await asyncio.gather(*tasks)
        assert gate.calls == [(["0", "1", "2"], "a")]
        queue.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("n_texts", [1, 8])
def test_requests_that_would_wait_too_long_are_refused_at_once(n_texts):
    """The queue has room for thousands of texts, but each takes its time."""

    held, opened = threading.Event(), threading.Event()
    opened.set()

    def compute(texts, key):
        time.sleep(0.01 * len(texts))
        held.set()
        assert opened.wait(20)
        return texts

    async def scenario():
        queue = batcher(compute, max_batch=8, max_queue=10_000, max_delay=1.0)
        for _ in range(3):
            await queue.submit(["text"] * 8, "a")  # says how long a text takes
        held.clear()
        opened.clear()
        first = asyncio.create_task(queue.submit(["text"], "a"))
        await asyncio.to_thread(held.wait, 20)
        tasks = [asyncio.create_task(queue.submit(["text"] * n_texts, "a")) for _ in range(400)]
        await asyncio.sleep(0)  # until all are submitted
        assert queue.full
        refused = [task for task in tasks if task.done()]
        assert {task.exception().status_code for task in refused} == {503}
        accepted = [task for task in tasks if task not in refused]
        assert 64 <= len(accepted) * n_texts <= 108  # 100, where a text took no longer than it slept
        opened.set()
        assert [await task for task in accepted] == [["text"] * n_texts] * len(accepted)
        await first
        assert not queue.full
        assert await queue.submit(["text"] * 120, "a") == ["text"] * 120  # alone, it is taken
        queue.close()

    asyncio.run(scenario())


def test_one_slow_batch_is_forgotten():
    slow = True

    def compute(texts, key):
        time.sleep(1.0 if slow else 0)
        return texts

    async def scenario():
        nonlocal slow
        queue = batcher(compute, max_queue=10_000, max_delay=0.5)
        await queue.submit(["text"], "a")
        slow = False
        for _ in range(60):
            await queue.submit(["text"] * 4, "a")
        assert len(await asyncio.gather(*[queue.submit(["text"], "a") for _ in range(100)])) == 100
        slow = True
        await queue.submit(["text"], "a")
        slow = False
        assert len(await asyncio.gather(*[queue.submit(["text"], "a") for _ in range(30)])) == 30  # few always wait
        queue.close()

    asyncio.run(scenario())
