"""The request of a handler: its ids, its deadline, its usage and its trace context."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from api_support import DEADLINE, on_loop, take
from openagentmesh import AgentMesh, AgentSpec, Usage, current_request, report_usage


def spec(name: str) -> AgentSpec:
    return AgentSpec(name=name, description=f"The agent {name}.")


@on_loop
async def test_handler_knows_its_request() -> None:
    async with AgentMesh.local() as mesh:
        assert current_request() is None

        @mesh.agent(spec("asynchronous"))
        async def asynchronous(text: str) -> dict[str, Any]:
            return describe()

        @mesh.agent(spec("synchronous"))
        def synchronous(text: str) -> dict[str, Any]:
            return describe()

        @mesh.agent(spec("streaming"))
        async def streaming(text: str) -> dict[str, Any]:
            yield describe()

        def describe() -> dict[str, Any]:
            request = current_request()
            assert request is not None
            assert not request.cancelled
            assert repr(request).startswith("<RequestContext agent=")
            return {
                "agent": request.agent,
                "id": request.request_id,
                "caller": request.caller,
                "left": request.time_left,
                "header": {k.lower(): v for k, v in request.headers.items()}["x-mesh-request-id"],
            }

        for name in ("asynchronous", "synchronous", "streaming"):
            if name == "streaming":
                (seen,) = await take(mesh.stream(name, "x", timeout=20.0), 1)
            else:
                seen = await mesh.call(name, "x", timeout=20.0)
            assert (seen["agent"], seen["caller"]) == (name, mesh.instance_id)
            assert len(seen["id"]) == 32 or "." in seen["id"]
            assert seen["id"] == seen["header"]
            assert 0 < seen["left"] <= 20.0


@on_loop
async def test_deadline_of_a_request_applies_to_its_calls() -> None:
    async with AgentMesh.local() as mesh:
        later: asyncio.Queue[float] = asyncio.Queue()

        @mesh.agent(spec("inner"))
        async def inner() -> float:
            request = current_request()
            assert request is not None
            assert request.time_left is not None
            return request.time_left

        @mesh.agent(spec("outer"))
        async def outer() -> float:
            async def background() -> None:
                await asyncio.sleep(0.3)
                await later.put(await mesh.call("inner"))

            asyncio.get_running_loop().call_soon(
                lambda: tasks.append(asyncio.ensure_future(background()))
            )
            left: float = await mesh.call("inner", timeout=500.0)
            return left

        tasks: list[asyncio.Future[None]] = []
        assert await mesh.call("outer", timeout=20.0) <= 20.0
        # A task that outlives its request is not bound by the deadline.
        assert await later.get() > 20.0


@on_loop
async def test_usage_goes_out_with_the_reply() -> None:
    async with AgentMesh.local() as mesh:

        @mesh.agent(spec("model"))
        async def model(text: str) -> str:
            report_usage(Usage(input_tokens=1, model="small"))
            report_usage(Usage(input_tokens=2, output_tokens=3))
            request = current_request()
            assert request is not None
            assert request.usage == Usage(input_tokens=3, output_tokens=3, model="small")
            return text

        await mesh.catalog()
        core = mesh._connected()
        events = await core.subscribe(subject="usage.replies")
        await mesh.send("model", "x", reply_to="usage.replies")
        batch: Any = events.next_batch()
        (event,) = batch if isinstance(batch, list) else await batch
        headers = {name.lower(): value for name, value in event.headers.items()}
        assert json.loads(headers["x-mesh-usage"]) == {
            "input_tokens": 3,
            "output_tokens": 3,
            "model": "small",
        }
        events.close()


def test_usage_outside_of_a_handler_is_a_runtime_error() -> None:
    with pytest.raises(RuntimeError, match="outside of a handler"):
        report_usage(Usage(input_tokens=1))


def test_trace_context_passes_through_without_opentelemetry() -> None:
    program = """
        import asyncio, sys
        from openagentmesh import AgentMesh, AgentSpec, current_request

        async def main():
            async with AgentMesh.local() as mesh:
                @mesh.agent(AgentSpec(name="inner", description="d"))
                async def inner() -> str:
                    return current_request().headers.get("traceparent", "none")

                @mesh.agent(AgentSpec(name="outer", description="d"))
                async def outer() -> str:
                    return await mesh.call("inner")

                await mesh.catalog()
                trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
                print((await mesh._core.call("outer", None, 10.0, trace)).decode())
                print((await mesh._core.call("outer", None, 10.0)).decode())
            assert not any(name.startswith("opentelemetry") for name in sys.modules)

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert ended.stdout.split() == [
        '"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"',
        '"none"',
    ], ended.stderr


@on_loop
async def test_span_of_the_caller_is_the_parent_of_the_handlers() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    tracer = sdk.TracerProvider().get_tracer("test")
    async with AgentMesh.local() as mesh:

        def ids() -> list[int]:
            context = trace.get_current_span().get_span_context()
            return [context.trace_id, context.span_id]

        @mesh.agent(spec("inner"))
        async def inner() -> list[int]:
            return ids()

        @mesh.agent(spec("synchronous"))
        def synchronous() -> list[int]:
            return ids()

        @mesh.agent(spec("chunks"))
        async def chunks(text: str) -> list[int]:
            yield ids()

        @mesh.agent(spec("outer"))
        async def outer() -> list[list[int]]:
            with tracer.start_as_current_span("work"):
                return [ids(), await mesh.call("inner")]

        assert await mesh.call("inner") == [0, 0]
        with tracer.start_as_current_span("root") as root:
            context = root.get_span_context()
            here = [context.trace_id, context.span_id]
            assert await mesh.call("inner") == here
            assert await mesh.call("synchronous") == here
            assert await take(mesh.stream("chunks", "x"), 1) == [here]
            work, below = await mesh.call("outer")
            assert work == below
            assert work[0] == here[0]
            assert work[1] != here[1]
        assert await mesh.call("inner") == [0, 0]
