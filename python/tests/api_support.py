"""Helpers of the tests of the API."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

DEADLINE = 60.0
"""Limit in seconds of each asynchronous test and of each wait."""


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an asynchronous test in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def limited() -> None:
            await asyncio.wait_for(test(*arguments, **named), DEADLINE)

        asyncio.run(limited())

    return run


async def eventually(condition: Callable[[], Any]) -> Any:
    """Waits until `condition()` is true, and returns its value."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE
    while loop.time() < end:
        value = condition()
        if value:
            return value
        await asyncio.sleep(0.005)
    raise AssertionError(f"the condition did not hold within {DEADLINE} s")


async def take(items: Any, count: int) -> list[Any]:
    """The first `count` items of an asynchronous generator, which is closed then."""
    taken: list[Any] = []
    try:
        async for item in items:
            taken.append(item)
            if len(taken) == count:
                break
    finally:
        await items.aclose()
    return taken


async def started(events: Any, publish: Callable[[], Awaitable[Any]]) -> AsyncIterator[Any]:
    """`events` once they have the event of `publish`, which shows that the subscription is active.

    The result skips that event.
    """
    first = asyncio.ensure_future(events.__anext__())
    while not first.done():
        await publish()
        await asyncio.wait([first], timeout=0.05)
    marker = first.result()

    async def others() -> AsyncIterator[Any]:
        async for event in events:
            if event != marker:
                yield event

    return others()
