"""Memory stays flat over many calls."""

from __future__ import annotations

import os

import pytest
from bridge_support import run_program


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the platform has no /proc")
def test_memory_of_many_calls_is_flat() -> None:
    ended = run_program(
        """
        import asyncio, gc, os
        from bridge_support import agent, collect, core, counter, local_mesh

        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        async def main():
            async def handler(request):
                request.finish(request.body)

            async with local_mesh(agent("echo", handler), counter()) as mesh:
                async def calls(count):
                    for _ in range(count // 64):
                        await asyncio.gather(*(mesh.call("echo", b'"hello"') for _ in range(64)))
                    for _ in range(count // 640):
                        await collect(await mesh.stream("count", b"50"))

                await calls(10_000)
                before = resident()
                await calls(30_000)
                grown = resident() - before
                assert grown < 8 * 1024 * 1024, grown
                stats = core.bridge_stats()
                assert stats["pending"] <= 1 and stats["requests"] == 0, stats

        asyncio.run(main())
        print("flat")
        """,
        timeout=110,
    )
    assert (ended.stdout, ended.stderr) == ("flat\n", "")
