"""The answers of agents: errors, inputs that are refused, and outputs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field, computed_field

from api_support import on_loop, take
from openagentmesh import (
    AgentMesh,
    AgentSpec,
    HandlerError,
    InvalidInput,
    MeshError,
)


class In(BaseModel):
    message: str


class Out(BaseModel):
    reply: str


def spec(name: str, **fields: Any) -> AgentSpec:
    return AgentSpec(name=name, description=f"The agent {name}.", **fields)


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
            assert [(problem["location"], problem["rule"]) for problem in problems] == [
                ("/item", "missing"),
                ("/count", "greater_than"),
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
