"""Agents of every shape, and how their requests run."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field, computed_field

from api_support import eventually, on_loop, take
from openagentmesh import (
    AgentMesh,
    AgentSpec,
    HandlerError,
    InvalidInput,
    MeshError,
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
        running = most = 0

        @mesh.agent(spec("slow"))
        async def slow(number: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.1)
            running -= 1
            return number

        start = time.monotonic()
        assert await asyncio.gather(*(mesh.call("slow", n) for n in range(50))) == list(range(50))
        assert most > 20
        assert time.monotonic() - start < 4.0


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
            await mesh.call("hang", 1, timeout=0.2)
        assert (caught.value.subject, caught.value.timeout) == ("mesh.agent.hang", 0.2)
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


class TestErrors:
    @on_loop
    async def test_error_of_a_handler_has_its_text(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("fragile"))
            async def fragile(kind: str) -> str:
                if kind == "empty":
                    raise ValueError
                raise ValueError("boom")

            with pytest.raises(HandlerError, match="^boom$") as caught:
                await mesh.call("fragile", "text")
            assert caught.value.agent == "fragile"
            assert len(caught.value.request_id) == 32
            with pytest.raises(HandlerError, match="^ValueError$"):
                await mesh.call("fragile", "empty")

    @on_loop
    async def test_mesh_error_of_a_handler_keeps_code_and_details(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("shop"))
            async def shop(item: str) -> str:
                raise MeshError(code="out_of_stock", message="no tea", details={"left": 0})

            @mesh.agent(spec("strict"))
            def strict(item: str) -> str:
                raise InvalidInput("unknown item", details={"item": item})

            with pytest.raises(MeshError) as caught:
                await mesh.call("shop", "tea")
            error = caught.value
            assert (error.code, error.message, error.details) == (
                "out_of_stock",
                "no tea",
                {"left": 0},
            )
            with pytest.raises(InvalidInput, match="unknown item") as invalid:
                await mesh.call("strict", "tea")
            assert invalid.value.details == {"item": "tea"}

    @on_loop
    async def test_error_in_a_stream_comes_after_its_chunks(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("stumble"))
            async def stumble(kind: str) -> int:
                yield 1
                yield 2
                raise MeshError("mine", "enough")

            chunks = []
            with pytest.raises(MeshError) as caught:
                async for chunk in mesh.stream("stumble", "x"):
                    chunks.append(chunk)
            assert (chunks, caught.value.code) == ([1, 2], "mine")

    @on_loop
    async def test_output_that_json_cannot_express_is_a_handler_error(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("opaque"))
            async def opaque(kind: str):  # type: ignore[no-untyped-def]
                return object()

            with pytest.raises(HandlerError):
                await mesh.call("opaque", "x")

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("a lone \ud800 surrogate"),
            MeshError("mine", "a lone \ud800 surrogate"),
            MeshError("mine", "m", details={"a": float("nan")}),
            MeshError("mine", "m", details={("a", 1): 2}),  # type: ignore[dict-item]
            MeshError("mine", "m", details={"a": object()}),
            MeshError("mine", "m", details={"a": "\ud800"}),
            MeshError("mine", 7),  # type: ignore[arg-type]
            MeshError("mine", "m", details=[1]),  # type: ignore[arg-type]
            MeshError("m\n\ud800", "m"),
            MeshError("mine", "x" * 5_000_000),
        ],
        ids=range(10),
    )
    @on_loop
    async def test_error_that_json_cannot_express_is_answered(self, error: Exception) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("odd"))
            async def odd(text: str) -> str:
                raise error

            @mesh.agent(spec("odd.chunks"))
            async def chunks(text: str) -> str:
                yield "a"
                raise error

            with pytest.raises(MeshError) as caught:
                await mesh.call("odd", "x", timeout=20.0)
            assert caught.value.code != "timeout"
            with pytest.raises(MeshError) as caught:
                assert len(await take(mesh.stream("odd.chunks", "x", timeout=20.0), 2)) == 2
            assert caught.value.code != "timeout"

    @pytest.mark.parametrize("kind", ["asynchronous", "synchronous"])
    @on_loop
    async def test_handler_that_exits_fails_its_own_request_only(self, kind: str) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("asynchronous"))
            async def asynchronous(code: int) -> int:
                raise SystemExit(code) if code else ValueError("zero")

            @mesh.agent(spec("synchronous"))
            def synchronous(code: int) -> int:
                raise SystemExit(code) if code else ValueError("zero")

            with pytest.raises(HandlerError, match="3"):
                await mesh.call(kind, 3)
            with pytest.raises(HandlerError, match="zero"):
                await mesh.call(kind, 0)

    @on_loop
    async def test_handler_that_cancels_itself_answers(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("quitter"))
            async def quitter(kind: str) -> str:
                raise asyncio.CancelledError

            with pytest.raises(HandlerError, match="cancelled"):
                await mesh.call("quitter", "x")

    @on_loop
    async def test_failed_publisher_starts_again_for_the_same_subscribers(self) -> None:
        async with AgentMesh.local() as mesh:
            runs = 0

            @mesh.agent(spec("flaky"))
            async def flaky() -> int:
                nonlocal runs
                runs += 1
                yield runs
                raise MeshError("mine", "boom")

            assert await take(mesh.subscribe(agent="flaky"), 3) == [1, 2, 3]

    @on_loop
    async def test_subscription_ends_with_its_publisher(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("brief"))
            async def brief() -> int:
                yield 1
                yield 2

            assert [event async for event in mesh.subscribe(agent="brief")] == [1, 2]


def raising(error: BaseException) -> Any:
    def validate(value: Any) -> Any:
        raise error

    return Annotated[str, AfterValidator(validate)]


class TestInputs:
    @on_loop
    async def test_invalid_input_lists_its_problems(self) -> None:
        async with AgentMesh.local() as mesh:
            ran = False

            class Order(BaseModel):
                item: str
                count: int = Field(gt=0)

            @mesh.agent(spec("order"))
            async def order(request: Order) -> str:
                nonlocal ran
                ran = True
                return ""

            with pytest.raises(InvalidInput) as caught:
                await mesh.call("order", {"count": 0})
            problems = caught.value.details["errors"]
            assert [(problem["loc"], problem["type"]) for problem in problems] == [
                (["item"], "missing"),
                (["count"], "greater_than"),
            ]
            assert "item: Field required" in caught.value.message
            assert caught.value.agent == "order"
            assert not ran
            with pytest.raises(InvalidInput):
                await mesh.call("order")

    @on_loop
    async def test_inputs_are_validated_as_the_published_sdk_does(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("lax"))
            async def lax(number: int) -> int:
                return number

            @mesh.agent(spec("optional"))
            async def optional(number: int | None) -> str:
                return repr(number)

            @mesh.agent(spec("default"))
            async def default(number: int = 4) -> int:
                return number

            assert await mesh.call("lax", "7") == 7
            assert await mesh.call("optional") == "None"
            assert await mesh.call("optional", 1) == "1"
            assert await mesh.call("default") == 4
            assert await mesh.call("default", 5) == 5
            assert await mesh.call("lax", b"8") == 8

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("no"),
            KeyError("no"),
            RecursionError(),
            SystemExit(3),
            GeneratorExit(),
            StopIteration(),
            asyncio.CancelledError(),
            MeshError("mine", "no"),
            BaseException("no"),
        ],
        ids=lambda error: type(error).__name__,
    )
    @on_loop
    async def test_validator_that_raises_anything_answers_invalid_input(
        self, error: BaseException
    ) -> None:
        async with AgentMesh.local() as mesh:

            async def guarded(text: str) -> str:
                return text

            guarded.__annotations__["text"] = raising(error)
            mesh.agent(spec("guarded"))(guarded)

            @mesh.agent(spec("other"))
            async def other(text: str) -> str:
                return text

            with pytest.raises(InvalidInput):
                await mesh.call("guarded", "x")
            assert await mesh.call("other", "still here") == "still here"

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b"nul",
            b'"\\ud800"',
            b"[" * 10_000 + b"]" * 10_000,
            b'{"a":' * 10_000,
            b"1" * 100_000,
            b"1e999999",
            b'{"message": null}',
            b'"' + b"x" * 500_000 + b'"',
        ],
        ids=lambda payload: repr(payload[:12]),
    )
    @on_loop
    async def test_hostile_payload_fails_its_own_request_only(self, payload: bytes) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("echo"))
            async def echo(request: In) -> Out:
                return Out(reply=request.message)

            with pytest.raises(MeshError):
                await mesh.call("echo", payload)
            assert await mesh.call("echo", {"message": "a"}) == {"reply": "a"}


class TestOutputs:
    @on_loop
    async def test_output_follows_the_schema(self) -> None:
        async with AgentMesh.local() as mesh:

            class Person(BaseModel):
                user_name: str = Field(alias="userName")

                @computed_field  # type: ignore[prop-decorator]
                @property
                def initial(self) -> str:
                    return self.user_name[0]

            @mesh.agent(spec("person"))
            async def person(request: Person) -> Person:
                return request

            given = Person(userName="ann")
            assert await mesh.call("person", given) == {"userName": "ann", "initial": "a"}
            schema = (await mesh.contract("person")).output_schema
            assert schema is not None
            assert sorted(schema["properties"]) == ["initial", "userName"]

    @on_loop
    async def test_handler_that_returns_nothing_answers_an_empty_object(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("swallow"))
            async def swallow(food: str) -> None:
                return None

            @mesh.agent(spec("untyped"))
            async def untyped(food: str):  # type: ignore[no-untyped-def]
                return {"food": food}

            assert await mesh.call("swallow", "x") == {}
            assert await mesh.call("untyped", "x") == {"food": "x"}

    @pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
    @on_loop
    async def test_dictionary_for_a_model_is_accepted(self) -> None:
        async with AgentMesh.local() as mesh:

            @mesh.agent(spec("loose"))
            async def loose(message: str) -> Out:
                return {"reply": message}  # type: ignore[return-value]

            assert await mesh.call("loose", "x") == {"reply": "x"}


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
