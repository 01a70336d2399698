"""The published SDK 0.2.0, in an environment of its own, on the same mesh."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from api_support import DEADLINE, eventually, on_loop, take
from conftest import REPOSITORY
from openagentmesh import AgentMesh, AgentSpec, HandlerError, InvocationMismatch, MeshError

PEER = REPOSITORY / "interop" / "python" / "peer.py"

pytestmark = pytest.mark.skipif(not PEER.exists(), reason="outside of the repository")


class Peer:
    """A process with the published SDK that runs commands."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, command: str, **arguments: Any) -> Any:
        """The result of a command. Raises `PeerError` if it raised there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": command, "with": arguments}).encode() + b"\n")
        await self._process.stdin.drain()
        line = await asyncio.wait_for(self._process.stdout.readline(), DEADLINE)
        answer = json.loads(line)
        if "raised" in answer:
            raise PeerError(answer["raised"])
        return answer["ok"]


class PeerError(Exception):
    """An error that a command raised in the peer."""

    def __init__(self, raised: dict[str, Any]) -> None:
        super().__init__(raised)
        self.raised = raised


@asynccontextmanager
async def peer_on(mesh: AgentMesh, python: Path) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(PEER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    peer = Peer(process)
    try:
        await peer.ask("connect", url=mesh.url)
        yield peer
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), DEADLINE)
        finally:
            if process.returncode is None:
                process.kill()


class Summarize(BaseModel):
    text: str
    max_words: int | None = Field(default=10, ge=0)


class Summary(BaseModel):
    summary: str
    words: int


def add_agents(mesh: AgentMesh) -> None:
    @mesh.agent(
        AgentSpec(name="ours.summarize", description="Summarises.", tags=["text"], version="2.0.0")
    )
    async def summarize(request: Summarize) -> Summary:
        words = request.text.split()[: request.max_words]
        return Summary(summary=" ".join(words), words=len(words))

    @mesh.agent(AgentSpec(name="ours.count", description="Counts."))
    async def count(to: int) -> int:
        for number in range(to):
            yield number

    @mesh.agent(AgentSpec(name="ours.noon", description="Tells the time."))
    def noon() -> str:
        return "12:00"

    @mesh.agent(AgentSpec(name="ours.fragile", description="Fails."))
    async def fragile(how: str) -> str:
        if how == "mesh error":
            raise MeshError(code="rate_limited", message="come back later", details={"seconds": 5})
        raise ValueError("asked to fail")

    @mesh.agent(AgentSpec(name="ours.news", description="Publishes."))
    async def news() -> int:
        for number in range(1_000_000):
            yield number
            await asyncio.sleep(0.02)


@on_loop
async def test_published_sdk_uses_our_agents(published_python: Path) -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        await mesh.catalog()
        async with peer_on(mesh, published_python) as peer:
            assert {entry["name"] for entry in await peer.ask("catalog")} == {
                "ours.summarize",
                "ours.count",
                "ours.noon",
                "ours.fragile",
                "ours.news",
            }
            summary = await peer.ask(
                "call", name="ours.summarize", payload={"text": "a b c", "max_words": 2}
            )
            assert summary == {"summary": "a b", "words": 2}
            assert await peer.ask("call", name="ours.noon") == "12:00"
            assert await peer.ask("stream", name="ours.count", payload=300) == list(range(300))
            replied = await peer.ask("send_on_reply", name="ours.summarize", payload={"text": "a"})
            assert replied == {"reply": {"summary": "a", "words": 1}}
            answered = await peer.ask("send_reply_to", name="ours.summarize", payload={"text": "a"})
            assert answered["body"] == {"summary": "a", "words": 1}
            await peer.ask("open_events", key="news", agent="ours.news")
            taken = await peer.ask("take", key="news", count=3)
            first = taken["items"][0]
            assert taken["items"] == [first, first + 1, first + 2]
            contract = await peer.ask("contract", name="ours.summarize")
            skill = contract["skills"][0]
            assert (contract["version"], skill["inputSchema"]["required"]) == ("2.0.0", ["text"])


@on_loop
async def test_published_sdk_sees_our_errors(published_python: Path) -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        await mesh.catalog()
        async with peer_on(mesh, published_python) as peer:
            for name, payload, code, details in (
                ("ours.fragile", "error", "handler_error", {}),
                ("ours.fragile", "mesh error", "rate_limited", {"seconds": 5}),
                ("ours.summarize", {"text": 1}, "invalid_input", None),
            ):
                with pytest.raises(PeerError) as caught:
                    await peer.ask("call", name=name, payload=payload)
                raised = caught.value.raised
                assert (raised["code"], raised["agent"]) == (code, name)
                assert details is None or raised["details"] == details


@on_loop
async def test_our_sdk_uses_published_agents(published_python: Path) -> None:
    async with AgentMesh.local() as mesh, peer_on(mesh, published_python) as peer:
        await peer.ask(
            "host", names=["echo", "noon", "swallow", "nlp.pieces", "ticker", "fragile", "sentry"]
        )
        await mesh.wait_for("sentry")
        assert await mesh.call("echo", "hi") == "Echo: hi"
        assert await mesh.call("noon") == "12:00"
        assert await mesh.call("swallow", [1, 2]) == {}
        assert await take(mesh.stream("nlp.pieces", "to be"), 2) == [
            {"index": 0, "text": "to"},
            {"index": 1, "text": "be"},
        ]
        replies: asyncio.Queue[Any] = asyncio.Queue()
        await mesh.send("echo", "sent", on_reply=replies.put_nowait)
        assert await replies.get() == "Echo: sent"
        with pytest.raises(HandlerError, match="to fail"):
            await mesh.call("fragile", "error")
        with pytest.raises(MeshError) as caught:
            await mesh.call("fragile", "mesh error")
        assert (caught.value.code, caught.value.details) == ("rate_limited", {"seconds": 5})
        with pytest.raises(InvocationMismatch):
            await mesh.call("ticker")
        contract = await mesh.contract("nlp.pieces")
        assert (contract.streaming, contract.input_schema) == (True, {"type": "string"})
        tools = await mesh.tools(channel="nlp")
        assert await tools.call("nlp_pieces", '{"input": "be"}') == '[{"index": 0, "text": "be"}]'


@on_loop
async def test_events_of_a_published_publisher_arrive(published_python: Path) -> None:
    async with AgentMesh.local() as mesh, peer_on(mesh, published_python) as peer:
        await peer.ask("host", names=["news.local"])
        await mesh.wait_for("news.local")
        events = mesh.subscribe(agent="news.local")
        first = asyncio.ensure_future(events.__anext__())
        while not first.done():
            await peer.ask("emit", name="news.local", texts=["marker"])
        await peer.ask("emit", name="news.local", texts=["a", "b", "c"])
        texts = []
        async for event in events:
            if event["text"] != "marker":
                texts.append(event["text"])
            if event["text"] == "c":
                break
        assert texts == ["a", "b", "c"]


@on_loop
async def test_values_and_files_are_shared(published_python: Path, tmp_path: Path) -> None:
    async with AgentMesh.local() as mesh, peer_on(mesh, published_python) as peer:
        await mesh.kv.put("ours", "ä")
        assert await peer.ask("kv_get", key="ours") == "ä"
        await peer.ask("kv_put", key="theirs", text="ö")
        assert await mesh.kv.get("theirs") == "ö"
        await mesh.kv.put("count", "0")
        counting = asyncio.ensure_future(peer.ask("kv_count", key="count", times=20))
        for _ in range(20):
            await mesh.kv.update("count", lambda value: str(int(value) + 1), max_retries=100)
        await counting
        assert await mesh.kv.get("count") == "40"

        path = tmp_path / "file"
        await mesh.workspace.put("ours", b"x" * 300_000)
        await peer.ask("file_get", name="ours", path=str(path))
        assert path.read_bytes() == b"x" * 300_000
        await peer.ask("file_put", name="theirs", path=str(path))
        assert await mesh.workspace.get("theirs") == b"x" * 300_000


@on_loop
async def test_replicas_of_both_sdks_share_the_requests(published_python: Path) -> None:
    async with AgentMesh.local() as mesh, peer_on(mesh, published_python) as peer:
        served = 0

        @mesh.agent(AgentSpec(name="note", description="Records its input."))
        async def note(text: str) -> int:
            nonlocal served
            served += 1
            return len(text)

        await peer.ask("host", names=["note"])
        assert await asyncio.gather(*(mesh.call("note", "abc") for _ in range(60))) == [3] * 60
        assert 0 < served < 60
        await eventually(lambda: served)
