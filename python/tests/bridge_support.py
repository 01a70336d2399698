"""Helpers of the tests of the bridge: they use the Rust half alone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from openagentmesh._bridge import core

DEADLINE = 60.0
"""Seconds after which a condition that has not come true fails a test."""


class MeshFailure(Exception):
    """An error of the mesh."""

    def __init__(
        self, code: str, message: str, agent: str | None, request_id: str | None, details: bytes
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.agent = agent
        self.request_id = request_id
        self.details = json.loads(details)


core.set_error_factory(MeshFailure)


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Runs a coroutine function within the deadline."""

    async def limited() -> Any:
        core.set_error_factory(MeshFailure)
        return await asyncio.wait_for(main(), DEADLINE)

    return asyncio.run(limited())


@asynccontextmanager
async def local_mesh(*agents: Any, **options: Any) -> AsyncIterator[Any]:
    """A mesh on a server of its own, which serves `agents`."""
    mesh = await core.connect(local=True, **options)
    try:
        if agents:
            await mesh.register(list(agents))
        yield mesh
    finally:
        await mesh.shutdown()


def agent(
    name: str,
    handler: Callable[[Any], Awaitable[None]],
    shape: str = "responder",
    **options: Any,
) -> Any:
    """An agent whose handler is a coroutine function that gets the request."""

    async def serve(request: Any) -> None:
        try:
            await handler(request)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            request.fail("handler_error", str(error))

    tasks = set()

    def start(request: Any) -> None:
        task = asyncio.get_running_loop().create_task(serve(request))
        # As in `Agent._spawn`: a request may arrive while the loop ends.
        task._log_destroy_pending = False  # type: ignore[attr-defined,unused-ignore]
        # The loop has only a weak reference.
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        request.on_cancel(task.cancel)

    return core.Agent(name, "An agent of a test.", shape, start, **options)


def echo(name: str = "echo") -> Any:
    """An agent that answers with its input, without a task."""
    return core.Agent(
        name, "Returns its input.", "responder", lambda request: request.finish(request.body)
    )


def counter(name: str = "count") -> Any:
    """An agent that streams the numbers below its input."""

    async def handler(request: Any) -> None:
        for number in range(json.loads(request.body)):
            room = request.send_chunk(b"%d" % number)
            if room is not None:
                await room
        request.finish()

    return agent(name, handler, "streamer")


async def collect(source: Any, count: int | None = None, size: int = 256) -> list[Any]:
    """The items of a stream: all of them, or the first `count`."""
    items: list[Any] = []
    while count is None or len(items) < count:
        batch = source.next_batch(size)
        if not isinstance(batch, list):
            batch = await batch
        if not batch:
            break
        items.extend(batch)
    return items


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits until the condition is true."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.01)


def eventually_in_thread(condition: Callable[[], bool]) -> None:
    """As `eventually`, without an event loop."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


def program(source: str) -> list[str]:
    """The command line of a Python program that can import these helpers."""
    folder = os.path.dirname(os.path.abspath(__file__))
    prelude = f"import sys; sys.path.insert(0, {folder!r})\n"
    return [sys.executable, "-c", prelude + textwrap.dedent(source)]


def run_program(source: str, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
    """Runs a Python program to its end."""
    return subprocess.run(
        program(source), capture_output=True, text=True, timeout=timeout, check=False
    )
