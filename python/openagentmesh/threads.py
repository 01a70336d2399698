"""Threads for synchronous handlers."""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

MAX_THREADS = min(64, (os.cpu_count() or 1) + 32)
"""Limit of the synchronous handlers of a process that run at once; others wait for a thread."""


class ThreadPool:
    """Runs functions in at most `limit` daemon threads.

    The threads of `concurrent.futures` would keep an interpreter alive until the last handler has ended.
    """

    def __init__(self, limit: int = MAX_THREADS) -> None:
        self._limit = limit
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Runs `function` in a thread, in a copy of the current context. The future is of the running loop.

        A cancelled future does not stop the function: it ends by itself, and its result is dropped.
        """
        future, job = _job(function, arguments)
        self._submit(job)
        return future

    def _submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.put(job)
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < self._limit:
                self._threads += 1
                name = f"openagentmesh-handler-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            job()
            del job
            with self._lock:
                if self._jobs.empty():
                    self._idle += 1


def run_in_own_thread(
    name: str, function: Callable[..., Any], *arguments: Any
) -> asyncio.Future[Any]:
    """As `ThreadPool.run`, in a new daemon thread: for functions that may run as long as the process."""
    future, job = _job(function, arguments)
    threading.Thread(target=job, name=name, daemon=True).start()
    return future


def _job(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[asyncio.Future[Any], Callable[[], None]]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def job() -> None:
        if future.cancelled():
            return
        try:
            result = context.run(function, *arguments)
        except StopIteration as error:
            # A future cannot hold it.
            failure = RuntimeError("the handler raised StopIteration")
            failure.__cause__ = error
            _deliver(loop, future, None, failure)
        except BaseException as error:
            _deliver(loop, future, None, error)
        else:
            _deliver(loop, future, result, None)

    return future, job


def _deliver(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    result: Any,
    error: BaseException | None,
) -> None:
    def resolve() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    try:
        loop.call_soon_threadsafe(resolve)
    except RuntimeError:
        # The loop is closed: the request has ended with it.
        pass
