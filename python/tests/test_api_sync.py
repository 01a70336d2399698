"""The verbs as blocking functions."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from pydantic import BaseModel

from api_support import DEADLINE, on_loop
from openagentmesh import AgentMesh, AgentSpec, KVWrongRevision, MeshTimeout, NotFound, SyncMesh


class Plan(BaseModel):
    state: str


@pytest.fixture
def mesh() -> Iterator[SyncMesh]:
    mesh = AgentMesh()

    @mesh.agent(AgentSpec(name="echo", description="Echoes."))
    async def echo(text: str) -> str:
        return text

    @mesh.agent(AgentSpec(name="text.pieces", description="Splits."))
    async def pieces(text: str) -> str:
        for word in text.split():
            yield word

    @mesh.agent(AgentSpec(name="ticker", description="Ticks."))
    async def ticker() -> int:
        for number in range(1_000_000):
            yield number
            await asyncio.sleep(0.005)

    with mesh.sync.local() as connected:
        yield connected


def test_verbs_block_and_return(mesh: SyncMesh) -> None:
    assert mesh.call("echo", "hi") == "hi"
    assert list(mesh.stream("text.pieces", "to be or")) == ["to", "be", "or"]
    first, second = islice(mesh.subscribe(agent="ticker"), 2)
    assert second == first + 1
    replies: queue.Queue[str] = queue.Queue()
    mesh.send("echo", "sent", on_reply=replies.put)
    assert replies.get(timeout=DEADLINE) == "sent"
    mesh.publish("nobody.listens", {"a": 1})
    assert [entry.name for entry in mesh.catalog(channel="text")] == ["text.pieces"]
    assert mesh.contract("echo").output_schema == {"type": "string"}
    assert len(mesh.discover()) == 3
    assert mesh.wait_for("echo").name == "echo"
    with pytest.raises(NotFound):
        mesh.call("nobody")
    with pytest.raises(MeshTimeout):
        next(iter(mesh.subscribe(subject="silent", timeout=0.1)))


def test_values_and_files_block_and_return(mesh: SyncMesh, tmp_path: Path) -> None:
    assert mesh.kv.put("a", "1") > 0
    assert mesh.kv.get("a") == "1"
    assert mesh.kv.get_bytes("a") == b"1"
    mesh.kv.update("a", lambda value: value + "1")
    with mesh.kv.cas("a") as entry:
        entry.value += "2"
    assert mesh.kv.get("a") == "112"
    with mesh.kv.try_cas("a") as entry:
        mesh.kv.put("a", "other")
        entry.value = "mine"
    assert not entry.committed
    with pytest.raises(KVWrongRevision), mesh.kv.cas("a") as entry:
        mesh.kv.put("a", "another")
        entry.value = "mine"
    with pytest.raises(LookupError), mesh.kv.cas("a") as entry:
        entry.value = "unwritten"
        raise LookupError
    assert mesh.kv.get("a") == "another"
    mesh.kv.put_model("plan", Plan(state="new"))
    with mesh.kv.cas_model("plan", Plan) as model:
        model.value.state = "done"
    with mesh.kv.try_cas_model("plan", Plan) as model:
        pass
    assert mesh.kv.get_model("plan", Plan) == Plan(state="done")
    assert [entry.key for entry in mesh.kv.list("pl")] == ["plan"]
    assert mesh.kv.list_models("plan", Plan)[0].value.state == "done"
    assert next(iter(mesh.kv.watch("a"))) == "another"
    assert next(iter(mesh.kv.watch_entries("a"))).key == "a"
    mesh.kv.create("b", "1")
    mesh.kv.delete("b")

    mesh.workspace.put("f", "text")
    assert mesh.workspace.get("f") == b"text"
    path = tmp_path / "copy"
    mesh.workspace.get_file("f", path)
    assert mesh.workspace.put_file("g", path)["size"] == 4
    assert mesh.workspace.info("g")["name"] == "g"
    assert len(mesh.workspace.list()) == 2
    mesh.workspace.delete("f")


def test_stream_that_is_left_is_cancelled(mesh: SyncMesh) -> None:
    ended = threading.Event()

    @mesh.mesh.agent(AgentSpec(name="endless", description="Does not end."))
    async def endless(start: int) -> int:
        try:
            while True:
                yield start
        finally:
            ended.set()

    chunks = mesh.stream("endless", 1)
    assert next(iter(chunks)) == 1
    chunks.close()  # type: ignore[attr-defined]
    assert ended.wait(DEADLINE)


def test_many_threads_share_a_connection(mesh: SyncMesh) -> None:
    replies: queue.Queue[str] = queue.Queue()
    threads = [
        threading.Thread(target=lambda n=n: replies.put(mesh.call("echo", str(n))))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(int(replies.get(timeout=1)) for _ in range(20)) == list(range(20))


def test_connection_is_made_by_the_first_verb_and_ended_by_close(mesh: SyncMesh) -> None:
    other = AgentMesh(mesh.url)
    assert other.sync is other.sync
    assert other.sync.call("echo", "lazy") == "lazy"
    assert other.sync.instance_id != mesh.instance_id
    other.sync.close()
    assert "disconnected" in repr(other.sync)
    with other.sync as again:
        assert again.call("echo", "again") == "again"
    other.sync.close()


@on_loop
async def test_synchronous_handler_calls_other_agents() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(AgentSpec(name="inner", description="Doubles."))
        async def inner(number: int) -> int:
            return number * 2

        @mesh.agent(AgentSpec(name="outer", description="Doubles twice."))
        def outer(number: int) -> int:
            result: int = mesh.sync.call("inner", mesh.sync.call("inner", number))
            return result

        assert await mesh.call("outer", 3) == 12


@on_loop
async def test_verb_in_the_loop_of_the_mesh_is_an_error() -> None:
    async with AgentMesh.local() as mesh:
        with pytest.raises(RuntimeError, match="await mesh.call"):
            mesh.sync.call("a")


@on_loop
async def test_verbs_work_while_another_loop_runs() -> None:
    """As in a notebook, whose loop runs in the thread of its cells."""
    mesh = AgentMesh()
    with mesh.sync.local() as connected:
        connected.kv.put("a", "1")
        assert connected.kv.get("a") == "1"
        with pytest.raises(RuntimeError, match="another event loop"):
            async with mesh:
                pass


@pytest.mark.parametrize("leave", ["mesh.close()", "pass", "raise SystemExit(0)"])
def test_process_ends_with_a_connection(leave: str) -> None:
    program = f"""
        from openagentmesh import AgentMesh
        scope = AgentMesh().sync.local()
        mesh = scope.__enter__()
        mesh.kv.put("a", "1")
        print(mesh.kv.get("a"))
        {leave}
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    "verb",
    [
        "mesh.call('hang', 1)",
        "list(mesh.stream('hang.chunks', 1))",
        "next(mesh.subscribe(subject='silent'))",
        "next(mesh.kv.watch('missing'))",
    ],
)
def test_interrupt_ends_a_verb(verb: str) -> None:
    program = f"""
        import asyncio, sys, threading, time
        from openagentmesh import AgentMesh, AgentSpec

        def announce_wait():
            # Until the main thread waits in the package.
            main = threading.main_thread().ident
            while True:
                frame = sys._current_frames()[main]
                while frame is not None:
                    if "openagentmesh" in frame.f_code.co_filename:
                        print("ready", flush=True)
                        return
                    frame = frame.f_back
                time.sleep(0.01)

        ended = []
        with AgentMesh().sync.local() as mesh:
            @mesh.mesh.agent(AgentSpec(name="hang", description="Hangs."))
            async def hang(number: int) -> int:
                print("ready", flush=True)
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.append(number)

            @mesh.mesh.agent(AgentSpec(name="hang.chunks", description="Hangs."))
            async def chunks(number: int) -> int:
                print("ready", flush=True)
                await asyncio.Event().wait()
                yield 1

            mesh.catalog()
            if not {"hang" in verb}:
                threading.Thread(target=announce_wait, daemon=True).start()
            try:
                {verb}
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            mesh.kv.put("a", "1")
            while {"mesh.call" in verb} and not ended:
                time.sleep(0.01)
            print(mesh.kv.get("a"), ended, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=DEADLINE)
        ended = "[1]" if "mesh.call" in verb else "[]"
        assert (output, errors) == (f"interrupted\n1 {ended}\n", "")
        assert process.returncode == 0
    finally:
        process.kill()
