"""Results reach the event loop in batches: one wake-up for many."""

from __future__ import annotations

import asyncio
import json

from typing import Any

from bridge_support import agent, collect, core, counter, echo, local_mesh, run


def test_completions_that_arrive_together_wake_the_loop_once() -> None:
    async def main() -> None:
        async with local_mesh(echo()) as mesh:
            await mesh.call("echo", b"1")
            before = core.bridge_stats()
            calls = [mesh.call("echo", b"%d" % n) for n in range(50)]
            # The loop is busy: all replies arrive before it runs again. A busy wait, because a coroutine that waits
            # would let the loop run.
            import time

            time.sleep(2)
            await asyncio.sleep(0)
            await asyncio.gather(*calls)
            after = core.bridge_stats()
            assert after["items"] - before["items"] == 100
            # Requests, then replies; a few more when the server splits them.
            assert after["wakeups"] - before["wakeups"] <= 50

    run(main)


def test_many_calls_at_once_share_wakeups() -> None:
    async def main() -> None:
        async with local_mesh(echo()) as mesh:
            await mesh.call("echo", b"1")
            before = core.bridge_stats()
            for _ in range(10):
                replies = await asyncio.gather(
                    *(mesh.call("echo", b"%d" % n) for n in range(64))
                )
                assert replies == [b"%d" % n for n in range(64)]
            after = core.bridge_stats()
            items = after["items"] - before["items"]
            assert items == 2 * 640
            assert after["wakeups"] - before["wakeups"] < items

    run(main)


def test_chunks_arrive_many_at_a_time_in_order() -> None:
    async def main() -> None:
        async with local_mesh(counter()) as mesh:
            before = core.bridge_stats()
            chunks = await mesh.stream("count", b"20000")
            numbers = await collect(chunks)
            assert [json.loads(n) for n in numbers] == list(range(20000))
            after = core.bridge_stats()
            assert after["items"] - before["items"] < 20000 / 4

    run(main)


def test_events_arrive_many_at_a_time_in_order() -> None:
    async def main() -> None:
        async with local_mesh() as mesh:
            events = await mesh.subscribe(subject="numbers")
            before = core.bridge_stats()
            await asyncio.gather(*(mesh.publish("numbers", b"%d" % n) for n in range(2000)))
            published = core.bridge_stats()
            received = await collect(events, 2000)
            assert sorted(int(event.data) for event in received) == list(range(2000))
            after = core.bridge_stats()
            assert after["items"] - published["items"] < 2000 / 4
            assert published["wakeups"] - before["wakeups"] < 2000

    run(main)


def test_batch_has_at_most_max_items() -> None:
    async def main() -> None:
        async with local_mesh(counter()) as mesh:
            chunks = await mesh.stream("count", b"100")
            seen = []
            while batch := await as_list(chunks.next_batch(7)):
                assert len(batch) <= 7
                seen.extend(batch)
            assert len(seen) == 100
            # The end stays the end.
            assert await as_list(chunks.next_batch()) == []

    async def as_list(batch: object) -> list[bytes]:
        return batch if isinstance(batch, list) else await batch  # type: ignore[no-any-return,misc]

    run(main)


def test_consumer_and_handler_that_never_wait_let_others_run() -> None:
    async def main() -> None:
        async def handler(request: Any) -> None:
            for number in range(100_000):
                room = request.send_chunk(b"%d" % number)
                if room is not None:
                    await room
            request.finish()

        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with local_mesh(agent("busy", handler, "streamer")) as mesh:
            running = asyncio.create_task(other())
            peer = await core.connect(url=mesh.url)
            chunks = await peer.stream("busy", b"1")
            assert len(await collect(chunks)) == 100_000
            running.cancel()
            await peer.shutdown()
            assert turns > 20

    run(main)
