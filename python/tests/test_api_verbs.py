"""Calls, streams, callbacks and events, and their misuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from api_support import DEADLINE, eventually, on_loop, started, take
from openagentmesh import (
    AgentMesh,
    AgentSpec,
    HandlerError,
    InvocationMismatch,
    MeshError,
    MeshTimeout,
    NotAvailable,
    NotFound,
)


class In(BaseModel):
    message: str


def spec(name: str) -> AgentSpec:
    return AgentSpec(name=name, description=f"The agent {name}.")


def add_gallery(mesh: AgentMesh) -> None:
    @mesh.agent(spec("echo"))
    async def echo(request: Any) -> Any:
        return request

    @mesh.agent(spec("pieces"))
    async def pieces(text: str) -> str:
        for word in text.split():
            yield word

    @mesh.agent(spec("news.ticker"))
    async def ticker() -> int:
        for number in range(1_000_000):
            yield number
            await asyncio.sleep(0.01)

    @mesh.agent(spec("sentry"))
    async def sentry() -> None:
        await asyncio.Event().wait()

    @mesh.agent(spec("fragile"))
    async def fragile(text: str) -> str:
        raise ValueError("boom")


class TestPayloads:
    @dataclass
    class Point:
        x: int

    @pytest.mark.parametrize(
        ("payload", "echoed"),
        [
            ({"a": [1, 2.5, None, True]}, {"a": [1, 2.5, None, True]}),
            ("text", "text"),
            (0, 0),
            (False, False),
            ([], []),
            (In(message="a"), {"message": "a"}),
            (
                [In(message="a"), {"b": In(message="c")}],
                [{"message": "a"}, {"b": {"message": "c"}}],
            ),
            (Point(3), {"x": 3}),
            (date(2026, 1, 2), "2026-01-02"),
            (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            ((1, "a"), [1, "a"]),
            (b'{"raw": 1}', {"raw": 1}),
            ("ä\n\u2028😀", "ä\n\u2028😀"),
            (2**80, 2**80),
        ],
        ids=repr,
    )
    @on_loop
    async def test_payload_arrives_as_json(self, payload: Any, echoed: Any) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            assert await mesh.call("echo", payload) == echoed

    @pytest.mark.parametrize(
        "payload", [object(), {"a": object()}, AgentMesh, lambda: None], ids=range(4)
    )
    @on_loop
    async def test_payload_that_json_cannot_express_is_a_type_error(self, payload: Any) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            for verb in (mesh.call, mesh.send):
                with pytest.raises(TypeError, match="invalid payload"):
                    await verb("echo", payload)
            with pytest.raises(TypeError, match="invalid payload"):
                await take(mesh.stream("pieces", payload), 1)


class TestMismatches:
    """The messages name the verb that fits."""

    @pytest.mark.parametrize(
        ("verb", "agent", "hint"),
        [
            ("call", "pieces", r"stream"),
            ("call", "news.ticker", r"[Ss]ubscribe"),
            ("call", "sentry", r"in the background"),
            ("stream", "echo", r"call"),
            ("stream", "news.ticker", r"[Ss]ubscribe"),
            ("stream", "sentry", r"in the background"),
            ("send", "news.ticker", r"[Ss]ubscribe"),
            ("subscribe", "echo", r"call"),
            ("subscribe", "pieces", r"stream"),
        ],
    )
    @on_loop
    async def test_verb_that_does_not_fit_names_the_other(
        self, verb: str, agent: str, hint: str
    ) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            await mesh.catalog()
            with pytest.raises(InvocationMismatch, match=hint) as caught:
                if verb == "stream":
                    await take(mesh.stream(agent, "x"), 1)
                elif verb == "subscribe":
                    await take(mesh.subscribe(agent=agent), 1)
                else:
                    await getattr(mesh, verb)(agent, "x")
            assert caught.value.agent == agent

    @on_loop
    async def test_subscription_of_an_agent_that_is_not_registered_yet_checks_its_shape(
        self,
    ) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            with pytest.raises(InvocationMismatch, match="Use stream"):
                await take(mesh.subscribe(agent="pieces"), 1)


class TestAbsentAgents:
    @on_loop
    async def test_call_and_stream_of_an_unknown_agent_are_not_found(self) -> None:
        async with AgentMesh.local() as mesh:
            with pytest.raises(NotFound) as caught:
                await mesh.call("nobody", {})
            assert caught.value.agent == "nobody"
            with pytest.raises(NotFound):
                await take(mesh.stream("nobody", {}), 1)
            with pytest.raises(NotFound):
                await take(mesh.subscribe(agent="nobody"), 1)

    @on_loop
    async def test_listed_agent_without_a_process_is_not_available(self) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            await mesh.catalog()
            host = mesh._connected()
            other = AgentMesh(mesh.url)
            async with other:
                assert await other.call("echo", 1) == 1
            assert host is mesh._core
        # A process that ends without deregistering is in the tests of the bridge.
        assert issubclass(NotAvailable, MeshError)


class TestSend:
    @on_loop
    async def test_reply_goes_to_the_callback(self) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            replies: asyncio.Queue[Any] = asyncio.Queue()

            async def on_reply(reply: Any) -> None:
                await replies.put(reply)

            await mesh.send("echo", {"a": 1}, on_reply=on_reply)
            assert await replies.get() == {"a": 1}
            await mesh.send("echo", {"a": 2}, on_reply=replies.put_nowait)
            assert await replies.get() == {"a": 2}

    @on_loop
    async def test_error_goes_to_the_callback(self) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            errors: asyncio.Queue[MeshError] = asyncio.Queue()

            async def on_error(error: MeshError) -> None:
                await errors.put(error)

            await mesh.send("fragile", "x", on_reply=print, on_error=on_error)
            error = await errors.get()
            assert isinstance(error, HandlerError)
            assert (error.message, error.agent) == ("boom", "fragile")
            await mesh.send("fragile", "x", on_error=errors.put_nowait)
            assert isinstance(await errors.get(), HandlerError)

    @on_loop
    async def test_absent_agent_is_a_timeout_after_the_timeout(self) -> None:
        async with AgentMesh.local() as mesh:
            errors: asyncio.Queue[MeshError] = asyncio.Queue()
            loop = asyncio.get_running_loop()
            start = loop.time()
            await mesh.send("nobody", 1, on_reply=print, on_error=errors.put_nowait, timeout=0.5)
            error = await errors.get()
            assert isinstance(error, MeshTimeout)
            assert error.timeout == 0.5
            assert loop.time() - start >= 0.49

    @on_loop
    async def test_absent_agent_without_callbacks_is_no_error(self) -> None:
        async with AgentMesh.local() as mesh:
            assert await mesh.send("nobody", 1) is None  # type: ignore[func-returns-value]

    @on_loop
    async def test_reply_goes_to_the_subject(self) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            await mesh.catalog()
            replies = await subscription(mesh, "my.replies")
            await mesh.send("echo", {"a": 1}, reply_to="my.replies")
            assert await take(replies, 1) == [{"a": 1}]

    @on_loop
    async def test_both_kinds_of_reply_are_a_value_error(self) -> None:
        async with AgentMesh.local() as mesh:
            with pytest.raises(
                ValueError, match="'on_reply' and 'reply_to' are mutually exclusive"
            ):
                await mesh.send("echo", 1, on_reply=print, reply_to="a.b")

    @on_loop
    async def test_failing_callback_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)

            def fails(reply: Any) -> None:
                raise RuntimeError("broken callback")

            async def fails_later(reply: Any) -> None:
                raise RuntimeError("broken coroutine")

            await mesh.send("echo", 1, on_reply=fails)
            await mesh.send("echo", 1, on_reply=fails_later)
            await eventually(lambda: "broken callback" in caplog.text)
            await eventually(lambda: "broken coroutine" in caplog.text)


async def subscription(mesh: AgentMesh, subject: str) -> Any:
    """An active subscription of a subject."""
    marked = subject.replace(">", "marker")
    return await started(mesh.subscribe(subject=subject), lambda: mesh.publish(marked, "marker"))


class TestSubscribe:
    @pytest.mark.parametrize(
        ("selectors", "hint"),
        [
            ({}, "Provide"),
            ({"subject": ""}, "Provide"),
            ({"agent": ""}, "Provide"),
            ({"agent": "a", "subject": "b"}, "'agent' and 'subject' are mutually exclusive"),
            ({"agent": "a", "channel": "b"}, "mutually exclusive"),
            ({"channel": "a", "subject": "b"}, "mutually exclusive"),
            ({"agent": "a", "channel": "b", "subject": "c"}, "mutually exclusive"),
            ({"agent": "a.*"}, "wildcard"),
            ({"channel": "a.>"}, "wildcard"),
            ({"subject": "a..b"}, "invalid subject"),
            ({"subject": "a b"}, "invalid subject"),
            ({"subject": "a.>.b"}, "wildcard"),
        ],
        ids=str,
    )
    @on_loop
    async def test_invalid_selectors_are_a_value_error(
        self, selectors: dict[str, str], hint: str
    ) -> None:
        async with AgentMesh.local() as mesh:
            with pytest.raises(ValueError, match=hint):
                await take(mesh.subscribe(**selectors, timeout=0.1), 1)

    @on_loop
    async def test_silence_is_a_timeout(self) -> None:
        async with AgentMesh.local() as mesh:
            with pytest.raises(MeshTimeout) as caught:
                await take(mesh.subscribe(subject="silent", timeout=0.2), 1)
            assert (caught.value.subject, caught.value.timeout) == ("silent", 0.2)
            with pytest.raises(MeshTimeout):
                await take(mesh.subscribe(channel="silent", timeout=0.2), 1)

    @on_loop
    async def test_first_event_of_an_agent_that_is_registered_by_the_subscription_arrives(
        self,
    ) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            assert await take(mesh.subscribe(agent="news.ticker"), 3) == [0, 1, 2]

    @on_loop
    async def test_channel_has_the_events_of_its_agents(self) -> None:
        async with AgentMesh.local() as mesh:
            add_gallery(mesh)
            events = await take(mesh.subscribe(channel="news", timeout=DEADLINE), 2)
            assert events[1] == events[0] + 1

    @on_loop
    async def test_values_of_each_kind_arrive(self) -> None:
        async with AgentMesh.local() as mesh:
            events = await subscription(mesh, "kinds.>")
            await mesh.publish("kinds.a", {"a": 1})
            await mesh.publish("kinds.a.b", In(message="m"))
            await mesh.publish("kinds.c", "text")
            await mesh.publish("kinds.d", b"\x00\xff")
            await mesh.publish("kinds.e", [1, None])
            await mesh.publish("kinds.f", None, headers={"X-Own": "1"})
            assert await take(events, 6) == [
                {"a": 1},
                {"message": "m"},
                "text",
                b"\x00\xff",
                [1, None],
                None,
            ]


class TestPublish:
    @pytest.mark.parametrize("subject", ["", "a.*", "a.>", "a..b", "a b", ".", None])
    @on_loop
    async def test_invalid_subject_is_a_value_error(self, subject: Any) -> None:
        async with AgentMesh.local() as mesh:
            with pytest.raises(ValueError, match="invalid subject"):
                await mesh.publish(subject, 1)
            if subject in ("a.*", "a.>"):
                with pytest.raises(ValueError, match="wildcard"):
                    await mesh.publish(subject, 1)


class TestNotConnected:
    """Before `async with mesh:` and after it, each verb raises the error that programs catch."""

    @pytest.mark.parametrize("connected_before", [False, True])
    @on_loop
    async def test_verb_outside_of_the_block_says_so(self, connected_before: bool) -> None:
        mesh = AgentMesh()
        if connected_before:
            async with mesh.local():
                pass
        for verb in (
            lambda: mesh.call("a", 1),
            lambda: mesh.send("a", 1),
            lambda: mesh.publish("a", 1),
            lambda: mesh.catalog(),
            lambda: mesh.contract("a"),
            lambda: mesh.discover(),
            lambda: mesh.tools(),
            lambda: mesh.wait_for("a"),
            lambda: mesh.kv.get("a"),
            lambda: mesh.workspace.get("a"),
            lambda: take(mesh.stream("a", 1), 1),
            lambda: take(mesh.subscribe(agent="a"), 1),
            lambda: take(mesh.kv.watch("a"), 1),
        ):
            for kind in (AssertionError, RuntimeError):
                with pytest.raises(kind, match="Not connected"):
                    await verb()
        with pytest.raises(RuntimeError, match="Not connected"):
            _ = mesh.instance_id


@on_loop
async def test_timeout_of_a_stream_is_for_the_whole_stream() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("drip"))
        async def drip(text: str) -> AsyncIterator[int]:
            for number in range(1_000_000):
                yield number
                await asyncio.sleep(0.02)

        chunks = []
        with pytest.raises(MeshTimeout) as caught:
            async for chunk in mesh.stream("drip", "x", timeout=3.0):
                chunks.append(chunk)
        assert len(chunks) > 1
        assert (caught.value.subject, caught.value.timeout) == ("mesh.agent.drip", 3.0)


@on_loop
async def test_no_timeout_is_accepted_by_each_verb() -> None:
    async with AgentMesh.local() as mesh:
        add_gallery(mesh)
        assert await mesh.call("echo", 1, timeout=None) == 1
        assert await take(mesh.stream("pieces", "a b", timeout=None), 2) == ["a", "b"]
        replies: asyncio.Queue[Any] = asyncio.Queue()
        await mesh.send("echo", 2, on_reply=replies.put_nowait, timeout=None)
        assert await replies.get() == 2
        assert (await mesh.wait_for("echo", timeout=None)).name == "echo"


@on_loop
async def test_event_values_of_raw_bytes_are_kept() -> None:
    """A subject may carry anything, also what claims to be JSON."""
    async with AgentMesh.local() as mesh:
        events = await subscription(mesh, "raw")
        core = mesh._connected()
        await core.publish("raw", b"\xff not json", "bytes")
        await core.publish("raw", b"[1]", "json")
        assert await take(events, 2) == [b"\xff not json", [1]]


@on_loop
async def test_subscription_goes_on_after_a_loss(caplog: pytest.LogCaptureFixture) -> None:
    async with AgentMesh.local() as mesh:
        count, flooded = 100_000, asyncio.Event()

        @mesh.agent(spec("flood"))
        async def flood() -> int:
            for number in range(1_000_000):
                yield number
                if number > count:
                    flooded.set()
                    await asyncio.sleep(0.01)

        last = -1
        async for number in mesh.subscribe(agent="flood", timeout=DEADLINE):
            # The publisher goes on while the consumer waits.
            await flooded.wait()
            assert number > last
            last = number
            if number > count:
                break
        assert "events on mesh.agent.flood.events were lost" in caplog.text
