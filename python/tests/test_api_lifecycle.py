"""Entering, leaving, running, and what waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from api_support import DEADLINE, eventually, on_loop, take
from openagentmesh import AgentMesh, AgentSpec, ConnectionFailed, NotAvailable, NotFound


def spec(name: str) -> AgentSpec:
    return AgentSpec(name=name, description=f"The agent {name}.")


def echo_mesh(url: str = "nats://localhost:4222") -> AgentMesh:
    mesh = AgentMesh(url)

    @mesh.agent(spec("echo"))
    async def echo(text: str) -> str:
        return text

    return mesh


def test_new_mesh_is_disconnected() -> None:
    mesh = AgentMesh()
    assert mesh.url == "nats://localhost:4222"
    assert repr(mesh) == (
        "<AgentMesh url=nats://localhost:4222 mode=remote status=disconnected agents=0>"
    )
    assert AgentMesh("nats://example.org:4222").url == "nats://example.org:4222"


@on_loop
async def test_local_works_on_the_class_and_on_an_object() -> None:
    async with AgentMesh.local() as mesh:
        assert isinstance(mesh, AgentMesh)
        assert "mode=local status=connected agents=0" in repr(mesh)
        assert len(mesh.instance_id) == 32
    with_agents = echo_mesh()
    async with with_agents.local() as same:
        assert same is with_agents
        assert await same.call("echo", "hi") == "hi"
        assert same.url != "nats://localhost:4222"
    assert with_agents.url == "nats://localhost:4222"


@on_loop
async def test_block_can_be_entered_again_and_nested() -> None:
    async with AgentMesh.local() as server:
        mesh = echo_mesh(server.url)
        for _ in range(3):
            async with mesh:
                assert await mesh.call("echo", "hi") == "hi"
                async with mesh as same:
                    assert same is mesh
                assert await mesh.call("echo", "still") == "still"
            with pytest.raises(NotFound):
                await server.call("echo", "hi")


def test_block_can_be_entered_in_another_loop() -> None:
    mesh = echo_mesh()

    async def use() -> Any:
        async with mesh.local():
            return await mesh.call("echo", "hi")

    for _ in range(3):
        assert asyncio.run(use()) == "hi"


def test_block_can_be_entered_after_a_loop_that_was_closed_inside_of_it() -> None:
    mesh = echo_mesh()

    async def enter() -> None:
        await mesh.local().__aenter__()

    asyncio.run(enter())

    async def use() -> Any:
        async with mesh.local():
            return await mesh.call("echo", "hi")

    assert asyncio.run(use()) == "hi"


@on_loop
async def test_tasks_share_a_connection() -> None:
    async with AgentMesh.local() as server:
        mesh = echo_mesh(server.url)

        async def use(number: int) -> Any:
            await asyncio.sleep(number % 7 / 100)
            async with mesh:
                return await mesh.call("echo", str(number))

        for _ in range(3):
            replies = await asyncio.gather(*(use(number) for number in range(30)))
            assert replies == [str(number) for number in range(30)]
        assert "disconnected" in repr(mesh)


@on_loop
async def test_entry_that_fails_for_one_task_fails_for_all() -> None:
    mesh = AgentMesh("nats://127.0.0.1:1")
    results = await asyncio.gather(*(mesh.__aenter__() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, ConnectionFailed) for result in results)
    assert "disconnected" in repr(mesh)


@on_loop
async def test_cancelled_entry_leaves_nothing() -> None:
    async with AgentMesh.local() as server:
        mesh = echo_mesh(server.url)
        for delay in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008):
            entry = asyncio.ensure_future(mesh.__aenter__())
            await asyncio.sleep(delay)
            entry.cancel()
            try:
                await entry
            except asyncio.CancelledError:
                assert "disconnected" in repr(mesh)
            else:
                await mesh.__aexit__(None, None, None)
        async with mesh:
            assert await mesh.call("echo", "hi") == "hi"


@on_loop
async def test_registration_is_lazy() -> None:
    async with AgentMesh.local() as server:
        mesh = AgentMesh(server.url)
        async with mesh:
            runs = 0

            @mesh.agent(spec("counter"))
            async def counter() -> int:
                nonlocal runs
                runs += 1
                yield runs
                await asyncio.Event().wait()

            await asyncio.sleep(0.3)
            assert runs == 0
            assert await server.catalog() == []
            assert [entry.name for entry in await mesh.catalog()] == ["counter"]
            await eventually(lambda: runs == 1)


@on_loop
async def test_concurrent_operations_register_an_agent_once() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("echo"))
        async def echo(text: str) -> str:
            return text

        assert await asyncio.gather(*(mesh.call("echo", str(n)) for n in range(50))) == [
            str(n) for n in range(50)
        ]


@on_loop
async def test_running_requests_are_finished_before_the_block_ends() -> None:
    async with AgentMesh.local() as server:
        host = AgentMesh(server.url)
        started = asyncio.Event()

        @host.agent(spec("slow"))
        async def slow() -> str:
            started.set()
            await asyncio.sleep(0.3)
            return "done"

        async with host:
            call = asyncio.ensure_future(server.call("slow"))
            await started.wait()
        assert await call == "done"


@on_loop
async def test_server_that_is_absent_is_connection_failed() -> None:
    mesh = AgentMesh("nats://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(ConnectionFailed) as caught:
            async with mesh:
                pass
        assert "127.0.0.1:1" in caught.value.message
        assert "oam mesh up" not in caught.value.message
    assert "disconnected" in repr(mesh)


@on_loop
async def test_missing_credentials_file_is_an_error_that_names_it() -> None:
    with pytest.raises(Exception, match="missing.creds"):
        async with AgentMesh(creds="/nowhere/missing.creds"):
            pass


@on_loop
async def test_mesh_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AgentMesh.local() as server:
        monkeypatch.setenv("OAM_URL", server.url)
        async with AgentMesh.from_env() as mesh:
            assert mesh.url == server.url


@on_loop
async def test_mesh_of_a_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with AgentMesh.local() as server:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("OAM_URL", raising=False)
        file = tmp_path / ".agentmesh" / "contexts.toml"
        file.parent.mkdir(mode=0o700)
        file.write_text(
            f'selected = "b"\n[contexts.a]\nurl = "{server.url}"\n[contexts.b]\nurl = "nats://127.0.0.1:1"\n'
        )
        async with AgentMesh.from_context("a") as mesh:
            assert mesh.url == server.url
        with pytest.raises(ConnectionFailed, match="selected context b"):
            async with AgentMesh.from_env():
                pass
        monkeypatch.setenv("OAM_CONTEXT", "a")
        async with AgentMesh.from_env() as mesh:
            assert mesh.url == server.url
        with pytest.raises(Exception, match="contexts are a, b; oam context add c URL"):
            async with AgentMesh.from_context("c"):
                pass
        with pytest.raises(Exception, match="missing.creds"):
            async with AgentMesh.from_context("a", creds="/nowhere/missing.creds"):
                pass


@on_loop
async def test_run_in_a_running_loop_is_a_runtime_error() -> None:
    with pytest.raises(RuntimeError, match="async with mesh"):
        AgentMesh().run()


def test_run_without_a_server_is_connection_failed() -> None:
    with pytest.raises(ConnectionFailed):
        AgentMesh("nats://127.0.0.1:1").run()


SERVE = """
    import asyncio, sys
    from openagentmesh import AgentMesh, AgentSpec
    mesh = AgentMesh(sys.argv[1])

    @mesh.agent(AgentSpec(name="slow", description="Sleeps."))
    async def slow(seconds: float) -> str:
        await mesh.kv.put("started", "1")
        await asyncio.sleep(seconds)
        return "done"

    mesh.run()
    print("left")
"""


def serve(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVE), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@on_loop
async def test_signal_ends_run_after_the_running_requests(number: signal.Signals) -> None:
    async with AgentMesh.local() as mesh:
        process = serve(mesh.url)
        try:
            await mesh.wait_for("slow")
            call = asyncio.ensure_future(mesh.call("slow", 0.5))
            await take(mesh.kv.watch("started"), 1)
            process.send_signal(number)
            assert await call == "done"
            output, errors = await asyncio.to_thread(process.communicate, timeout=DEADLINE)
            assert (process.returncode, output) == (0, "left\n")
            assert errors == f"serving slow on {mesh.url}; Ctrl-C stops it\n"
            assert await mesh.catalog() == []
        finally:
            process.kill()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@on_loop
async def test_second_signal_ends_run_at_once() -> None:
    async with AgentMesh.local() as mesh:
        process = serve(mesh.url)
        try:
            await mesh.wait_for("slow")
            call = asyncio.ensure_future(mesh.call("slow", 50))
            await take(mesh.kv.watch("started"), 1)
            process.send_signal(signal.SIGINT)
            # A host that leaves takes no more requests.
            with pytest.raises((NotAvailable, NotFound)):
                while True:
                    await asyncio.wait_for(mesh.call("slow", 0), DEADLINE)
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            await asyncio.to_thread(process.communicate, timeout=DEADLINE)
            assert time.monotonic() - start < 8
            call.cancel()
        finally:
            process.kill()


class TestNotAvailableYet:
    @pytest.mark.parametrize(
        "use",
        [
            lambda mesh: mesh.subject_source("a"),
            lambda mesh: mesh.kv_source("a"),
            lambda mesh: mesh.kv_condition("a", bool),
            lambda mesh: mesh.subject_condition("a", bool),
            lambda mesh: mesh.agent(spec("a"), sources=[object()]),
            lambda mesh: mesh.agent(spec("a"), active_when=object()),
            lambda mesh: mesh.run_mcp(),
            lambda mesh: asyncio.run(mesh.serve_mcp()),
        ],
    )
    def test_feature_says_that_it_is_not_available_yet(self, use: Any) -> None:
        with pytest.raises(NotImplementedError, match="is not available yet in this package; "):
            use(AgentMesh())
