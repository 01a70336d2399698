"""Event loops: closed in the middle of a call, several in several threads, without sockets, absent."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from bridge_support import (
    core,
    echo,
    eventually_in_thread,
    local_mesh,
    run,
    run_program,
)

CLOSED_LOOPS = """
    import asyncio, gc, os, threading
    from bridge_support import agent, core, eventually_in_thread, local_mesh

    cancelled = 0
    ready = threading.Event()
    stop = None
    mesh = None

    async def serve():
        global mesh, stop
        async def handler(request):
            global cancelled
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                raise
        async with local_mesh(agent("slow", handler)) as mesh:
            stop = (asyncio.get_running_loop(), asyncio.Event())
            ready.set()
            await stop[1].wait()

    def descriptors():
        return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0

    server = threading.Thread(target=lambda: asyncio.run(serve()))
    server.start()
    ready.wait()

    async def start():
        return mesh.call("slow", b"1")

    rounds = 1000
    for round in range(rounds):
        loop = asyncio.new_event_loop()
        future = loop.run_until_complete(start())
        loop.close()
        assert not future.done()
        del future
        if round == 50:
            before = descriptors()
    eventually_in_thread(lambda: core.bridge_stats()["pending"] == 0)
    eventually_in_thread(lambda: core.bridge_stats()["requests"] == 0)
    gc.collect()
    assert descriptors() <= before + 5, (before, descriptors())
    assert core.bridge_stats()["queues"] <= 2, core.bridge_stats()

    # All else goes on.
    async def works():
        return await mesh.catalog()
    assert b"slow" in asyncio.run(works())
    stop[0].call_soon_threadsafe(stop[1].set)
    server.join()
    print("cancelled", cancelled > 0)
"""


def test_loops_closed_in_the_middle_of_1000_calls_print_nothing_and_leave_nothing() -> None:
    ended = run_program(CLOSED_LOOPS, timeout=110)
    assert ended.stderr == ""
    assert ended.stdout == "cancelled True\n"
    assert ended.returncode == 0


def test_loop_of_a_host_that_is_closed_fails_its_requests() -> None:
    loop = asyncio.new_event_loop()

    async def connect() -> object:
        return await core.connect(local=True)

    async def serve(mesh: object) -> None:
        other = await core.connect(url=mesh.url)  # type: ignore[attr-defined]
        hosts.append(other)
        await other.register([echo()])

    hosts: list[object] = []
    mesh = loop.run_until_complete(connect())
    host_loop = asyncio.new_event_loop()
    host_loop.run_until_complete(serve(mesh))
    host_loop.close()

    async def call() -> None:
        with pytest.raises(Exception, match="event loop of its agent is closed"):
            await mesh.call("echo", b"1", timeout=20)  # type: ignore[attr-defined]

    loop.run_until_complete(call())
    hosts[0].abort()  # type: ignore[attr-defined]
    mesh.abort()  # type: ignore[attr-defined]
    loop.close()


def test_several_loops_in_several_threads_are_independent() -> None:
    threads, calls = 8, 100

    def work(url: str) -> int:
        async def main() -> int:
            mesh = await core.connect(url=url)
            replies = await asyncio.gather(
                *(mesh.call("echo", b"%d" % n) for n in range(calls))
            )
            await mesh.shutdown()
            return sum(int(reply) for reply in replies)

        return asyncio.run(main())

    async def main() -> None:
        async with local_mesh(echo()) as mesh:
            loop = asyncio.get_running_loop()
            with ThreadPoolExecutor(threads) as pool:
                sums = await asyncio.gather(
                    *(loop.run_in_executor(pool, work, mesh.url) for _ in range(threads))
                )
            assert sums == [sum(range(calls))] * threads

    run(main)


def test_one_mesh_serves_several_loops() -> None:
    async def main() -> None:
        async with local_mesh(echo()) as mesh:

            def other() -> bytes:
                async def call() -> bytes:
                    return bytes(await mesh.call("echo", b'"other"'))

                return asyncio.run(call())

            assert await asyncio.to_thread(other) == b'"other"'
            assert await mesh.call("echo", b"1") == b"1"

    run(main)


def test_loop_that_reads_no_sockets_is_woken_by_its_own_function() -> None:
    class NoReaders(asyncio.SelectorEventLoop):
        def add_reader(self, *_: object) -> None:  # type: ignore[override]
            raise NotImplementedError

    async def main() -> None:
        async with local_mesh(echo()) as mesh:
            replies = await asyncio.gather(*(mesh.call("echo", b"%d" % n) for n in range(200)))
            assert replies == [b"%d" % n for n in range(200)]

    loop = NoReaders()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), 60))
    finally:
        loop.close()


def test_call_without_a_running_loop_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no running event loop: "):
        core.connect(local=True)


def test_thread_that_ends_leaves_no_queue() -> None:
    def work() -> None:
        async def main() -> None:
            with pytest.raises(Exception, match="connection_failed|connect"):
                await core.connect(url="nats://127.0.0.1:1")

        asyncio.run(main())

    before = core.bridge_stats()["queues"]
    for _ in range(5):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    eventually_in_thread(lambda: core.bridge_stats()["queues"] <= before)
