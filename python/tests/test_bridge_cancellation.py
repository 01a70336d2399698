"""Cancelling a task cancels the request at the host."""

from __future__ import annotations

import asyncio
import gc

import pytest
from bridge_support import MeshFailure, agent, collect, core, eventually, local_mesh, run


class Slow:
    """An agent whose requests never end."""

    def __init__(self, shape: str = "responder") -> None:
        self.started = 0
        self.cancelled = 0

        async def handler(request: object) -> None:
            self.started += 1
            try:
                if shape == "streamer":
                    request.send_chunk(b"1")  # type: ignore[attr-defined]
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

        self.agent = agent("slow", handler, shape)


def test_cancelled_task_cancels_the_handler() -> None:
    async def main() -> None:
        slow = Slow()
        before = core.bridge_stats()["requests"]
        async with local_mesh(slow.agent) as mesh:

            async def call() -> bytes:
                return await mesh.call("slow", b"1")

            task = asyncio.create_task(call())
            await eventually(lambda: slow.started == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually(lambda: slow.cancelled == 1)
            await eventually(lambda: core.bridge_stats()["requests"] <= before)

    run(main)


def test_wait_for_that_times_out_cancels_the_handler() -> None:
    async def main() -> None:
        slow = Slow()
        async with local_mesh(slow.agent) as mesh:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(mesh.call("slow", b"1"), 2.5)
            await eventually(lambda: slow.cancelled == slow.started == 1)

    run(main)


def test_timeout_of_the_call_cancels_the_handler() -> None:
    async def main() -> None:
        slow = Slow()
        async with local_mesh(slow.agent) as mesh:
            with pytest.raises(MeshFailure) as raised:
                await mesh.call("slow", b"1", timeout=2.5)
            assert raised.value.code == "timeout"
            await eventually(lambda: slow.cancelled == 1)

    run(main)


def test_closed_stream_cancels_the_handler() -> None:
    async def main() -> None:
        slow = Slow("streamer")
        async with local_mesh(slow.agent) as mesh:
            chunks = await mesh.stream("slow", b"1")
            assert await collect(chunks, 1) == [b"1"]
            waiting = chunks.next_batch()
            chunks.close()
            assert await waiting == []
            await eventually(lambda: slow.cancelled == 1)

    run(main)


def test_dropped_stream_cancels_the_handler() -> None:
    async def main() -> None:
        slow = Slow("streamer")
        async with local_mesh(slow.agent) as mesh:
            chunks = await mesh.stream("slow", b"1")
            assert await collect(chunks, 1) == [b"1"]
            del chunks
            await eventually(lambda: slow.cancelled == 1)

    run(main)


def test_cancelled_batch_loses_no_chunk() -> None:
    async def main() -> None:
        more = asyncio.Event()

        async def handler(request: object) -> None:
            for number in range(10):
                request.send_chunk(b"%d" % number)  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
            await more.wait()
            request.finish()  # type: ignore[attr-defined]

        async with local_mesh(agent("numbers", handler, "streamer")) as mesh:
            chunks = await mesh.stream("numbers", b"1")
            seen = []
            cancelled = 0
            while cancelled < 20:
                batch = chunks.next_batch(1)
                if isinstance(batch, list):
                    seen += batch
                    continue
                await asyncio.sleep(0.005)
                if batch.done():
                    seen += batch.result()
                else:
                    cancelled += batch.cancel()
            more.set()
            seen += await collect(chunks)
            assert seen == [b"%d" % number for number in range(10)]

    run(main)


def test_shutdown_cancels_handlers_after_the_grace_time() -> None:
    async def main() -> None:
        slow = Slow()
        mesh = await core.connect(local=True, shutdown_grace=0.1)
        await mesh.register([slow.agent])
        call = asyncio.ensure_future(mesh.call("slow", b"1"))
        await eventually(lambda: slow.started == 1)
        await mesh.shutdown()
        await eventually(lambda: slow.cancelled == 1)
        with pytest.raises(MeshFailure):
            await call

    run(main)


def test_handlers_run_at_the_same_time() -> None:
    async def main() -> None:
        running = 0
        most = 0
        all_run = asyncio.Event()

        async def handler(request: object) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 50:
                all_run.set()
            await all_run.wait()
            running -= 1
            request.finish(b"null")  # type: ignore[attr-defined]

        async with local_mesh(agent("together", handler)) as mesh:
            await asyncio.gather(*(mesh.call("together", b"1") for _ in range(50)))
            assert most == 50

    run(main)


def test_request_that_is_dropped_without_an_answer_fails() -> None:
    async def dies(request: object) -> None:
        # Not an Exception, so that the helper does not answer.
        raise asyncio.CancelledError("the task ends")

    async def main() -> None:
        async with local_mesh(agent("dies", dies)) as mesh:
            call = mesh.call("dies", b"1")
            while not call.done():
                await asyncio.sleep(0.01)
                gc.collect()
            with pytest.raises(MeshFailure, match="without an answer"):
                await call

        forgetful = core.Agent("forgetful", "Forgets.", "responder", lambda request: None)
        broken = core.Agent("broken", "Raises.", "responder", lambda request: 1 / 0)
        async with local_mesh(forgetful, broken) as mesh:
            for name, reason in [("forgetful", "without an answer"), ("broken", "division by zero")]:
                with pytest.raises(MeshFailure, match=reason) as raised:
                    await mesh.call(name, b"1")
                assert raised.value.code == "handler_error"

    run(main)
