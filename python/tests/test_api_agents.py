"""Agents of every shape, and how their requests run."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from api_support import eventually, on_loop, take
from openagentmesh import (
    AgentMesh,
    AgentSpec,
    MeshTimeout,
    Overloaded,
)


class In(BaseModel):
    message: str


class Out(BaseModel):
    reply: str


def spec(name: str, **fields: Any) -> AgentSpec:
    return AgentSpec(name=name, description=f"The agent {name}.", **fields)


@on_loop
async def test_responder_takes_and_returns_models() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("echo"))
        async def echo(request: In) -> Out:
            return Out(reply=request.message)

        assert await mesh.call("echo", In(message="a")) == {"reply": "a"}
        assert await mesh.call("echo", {"message": "b"}) == {"reply": "b"}
        assert (await echo(In(message="c"))).reply == "c"


@on_loop
async def test_trigger_takes_no_input_and_ignores_one() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("noon"))
        async def noon() -> str:
            return "12:00"

        assert await mesh.call("noon") == "12:00"
        assert await mesh.call("noon", {"a": 1}) == "12:00"


@on_loop
async def test_streamer_yields_chunks() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("count"))
        async def count(to: int) -> AsyncIterator[int]:
            for number in range(to):
                yield number

        assert [chunk async for chunk in mesh.stream("count", 5000)] == list(range(5000))
        assert [chunk async for chunk in mesh.stream("count", 0)] == []


@on_loop
async def test_publisher_emits_events() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("ticker"))
        async def ticker() -> Out:
            for index in range(1000):
                yield Out(reply=str(index))

        events = await take(mesh.subscribe(agent="ticker"), 1000)
        assert events == [{"reply": str(index)} for index in range(1000)]


@on_loop
async def test_watcher_runs_while_the_mesh_is_connected() -> None:
    mesh = AgentMesh()
    started, ended = asyncio.Event(), asyncio.Event()

    @mesh.agent(spec("sentry"))
    async def sentry() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with mesh.local():
        await started.wait()
        assert [entry.name for entry in await mesh.catalog()] == ["sentry"]
    await asyncio.wait_for(ended.wait(), 10)


@on_loop
async def test_decorator_without_a_spec_reads_the_function() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent
        async def double(number: int) -> int:
            """Doubles
            a number.

            More about it.
            """
            return 2 * number

        @mesh.agent()
        def triple(number: int) -> int:
            """Triples a number."""
            return 3 * number

        @mesh.agent(channel="math", tags=["fast"], version="1.2.3", description="Halves.")
        async def half(number: int) -> float:
            return number / 2

        @mesh.agent(name="math.negate", description="Negates.")
        async def other(number: int) -> int:
            return -number

        assert await mesh.call("double", 2) == 4
        assert await mesh.call("triple", 2) == 6
        assert await mesh.call("math.half", 3) == 1.5
        assert await mesh.call("math.negate", 3) == -3
        entries = {entry.name: entry for entry in await mesh.catalog()}
        assert entries["double"].description == "Doubles a number."
        half_entry = entries["math.half"]
        assert (half_entry.tags, half_entry.version) == (["fast"], "1.2.3")


def test_decorator_without_a_description_is_a_type_error() -> None:
    mesh = AgentMesh()
    with pytest.raises(TypeError, match="description of agent 'bare' is missing"):

        @mesh.agent
        async def bare() -> str:
            return ""


def test_decorator_with_a_spec_and_its_fields_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="mutually exclusive"):
        AgentMesh().agent(spec("a"), name="b")(lambda: None)


@pytest.mark.parametrize("wrong", ["echo", 1, {"name": "a"}, In])
def test_decorator_with_another_spec_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="invalid spec"):
        AgentMesh().agent(wrong)


@on_loop
async def test_synchronous_functions_run_in_threads_at_once() -> None:
    async with AgentMesh.local() as mesh:
        barrier = threading.Barrier(8)

        @mesh.agent(spec("meet"))
        def meet(number: int) -> int:
            assert threading.current_thread() is not threading.main_thread()
            barrier.wait(30)
            return number

        @mesh.agent(spec("sync.count"))
        def count(to: int) -> Iterator[int]:
            yield from range(to)

        @mesh.agent(spec("sync.ticker"))
        def ticker() -> Iterator[int]:
            yield from range(500)

        replies = await asyncio.gather(*(mesh.call("meet", number) for number in range(8)))
        assert replies == list(range(8))
        assert [chunk async for chunk in mesh.stream("sync.count", 1000)] == list(range(1000))


@on_loop
async def test_synchronous_publisher_emits_events() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("sync.ticker"))
        def ticker() -> Iterator[int]:
            yield from range(500)

        assert await take(mesh.subscribe(agent="sync.ticker"), 500) == list(range(500))


@on_loop
async def test_synchronous_streamer_ends_when_its_consumer_leaves() -> None:
    async with AgentMesh.local() as mesh:
        ended = threading.Event()

        @mesh.agent(spec("endless"))
        def endless(start: int) -> Iterator[int]:
            try:
                while True:
                    yield start
            finally:
                ended.set()

        assert await take(mesh.stream("endless", 1), 3) == [1, 1, 1]
        await eventually(ended.is_set)


@on_loop
async def test_requests_of_an_agent_run_concurrently() -> None:
    async with AgentMesh.local() as mesh:
        running = 0
        all_run = asyncio.Event()

        @mesh.agent(spec("slow"))
        async def slow(number: int) -> int:
            nonlocal running
            running += 1
            if running == 50:
                all_run.set()
            await all_run.wait()
            return number

        assert await asyncio.gather(*(mesh.call("slow", n) for n in range(50))) == list(range(50))


@on_loop
async def test_requests_above_the_limits_are_overloaded() -> None:
    async with AgentMesh.local() as mesh:
        release = asyncio.Event()

        @mesh.agent(spec("narrow"), concurrency=1, queue=1)
        async def narrow(number: int) -> int:
            await release.wait()
            return number

        calls = [asyncio.ensure_future(mesh.call("narrow", n)) for n in range(8)]
        await eventually(lambda: sum(call.done() for call in calls) == 6)
        assert all(isinstance(call.exception(), Overloaded) for call in calls if call.done())
        release.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(result, int) for result in results) == 2


@on_loop
async def test_cancelled_call_cancels_the_handler() -> None:
    async with AgentMesh.local() as mesh:
        started, cancelled = asyncio.Event(), asyncio.Event()

        @mesh.agent(spec("hang"))
        async def hang(number: int) -> int:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return number

        call = asyncio.ensure_future(mesh.call("hang", 1))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await cancelled.wait()


@on_loop
async def test_timeout_of_a_call_cancels_the_handler() -> None:
    async with AgentMesh.local() as mesh:
        cancelled = asyncio.Event()

        @mesh.agent(spec("hang"))
        async def hang(number: int) -> int:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return number

        with pytest.raises(MeshTimeout) as caught:
            await mesh.call("hang", 1, timeout=2.5)
        assert (caught.value.subject, caught.value.timeout) == ("mesh.agent.hang", 2.5)
        assert isinstance(caught.value, TimeoutError)
        await cancelled.wait()


@on_loop
async def test_timeout_of_an_agent_ends_its_run() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("hang"), timeout=0.2)
        async def hang(number: int) -> int:
            await asyncio.Event().wait()
            return number

        with pytest.raises(MeshTimeout):
            await mesh.call("hang", 1, timeout=30)


@on_loop
async def test_leaving_a_stream_cancels_the_handler() -> None:
    async with AgentMesh.local() as mesh:
        cancelled = asyncio.Event()

        @mesh.agent(spec("endless"))
        async def endless(start: int) -> int:
            try:
                while True:
                    yield start
            finally:
                cancelled.set()

        async for _ in mesh.stream("endless", 1):
            break
        await cancelled.wait()


@on_loop
async def test_slow_consumer_slows_the_handler_down() -> None:
    async with AgentMesh.local() as mesh:
        produced = 0

        @mesh.agent(spec("endless"))
        async def endless(start: int) -> int:
            nonlocal produced
            while True:
                produced += 1
                yield produced

        stream = mesh.stream("endless", 1)
        assert await stream.__anext__() == 1
        before = -1
        while before != produced:
            before = produced
            await asyncio.sleep(0.3)
        assert produced < 20_000
        await stream.aclose()  # type: ignore[attr-defined]


@on_loop
async def test_methods_and_partials_are_agents() -> None:
    async with AgentMesh.local() as mesh:

        class Desk:
            def __init__(self, name: str) -> None:
                self.name = name

            async def open(self, request: str) -> str:
                return f"{self.name}: {request}"

        async def scale(number: int, factor: int) -> int:
            return number * factor

        mesh.agent(spec("desk"))(Desk("north").open)
        mesh.agent(spec("scale"))(functools.partial(scale, factor=3))
        assert await mesh.call("desk", "hi") == "north: hi"
        assert await mesh.call("scale", 2) == 6


@on_loop
async def test_context_variables_of_the_entry_reach_the_handlers() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    tenant.set("ours")
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("asynchronous"))
        async def asynchronous() -> str:
            seen = tenant.get()
            tenant.set("changed")
            return seen

        @mesh.agent(spec("synchronous"))
        def synchronous() -> str:
            seen = tenant.get()
            tenant.set("changed")
            return seen

        for _ in range(2):
            assert await mesh.call("asynchronous") == "ours"
            assert await mesh.call("synchronous") == "ours"


@on_loop
async def test_agent_of_the_same_name_replaces_the_earlier_one() -> None:
    async with AgentMesh.local() as mesh:
        for answer in ("first", "second"):

            async def answerer(answer: str = answer) -> str:
                return answer

            mesh.agent(spec("answerer"))(answerer)
            assert await mesh.call("answerer") == answer
