"""Agents: a spec, a function, and how a request runs the function."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from .adapters import NO_INPUT, NO_OUTPUT
from .context import RequestContext, enter_request
from .errors import InvalidInput, MeshError
from .models import AgentContract
from .threads import ThreadPool, run_in_own_thread

if TYPE_CHECKING:
    from ._core import Agent, Request
    from .models import AgentSpec
    from .shapes import Signature

logger = logging.getLogger("openagentmesh")

MAX_DETAILS_CHARS = 1000
"""Limit of the text of details that JSON cannot express."""

_threads = ThreadPool()


class LocalAgent:
    """An agent of this process: its spec, its signature, and the options of its host."""

    def __init__(self, spec: AgentSpec, signature: Signature, options: dict[str, Any]) -> None:
        self.spec = spec
        self.signature = signature
        self._options = options
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._function = signature.function
        # The shape of most agents; its requests take the shortest way.
        self._is_plain = signature.kind == "async" and signature.shape != "watcher"
        self._dump = signature.output.dump
        streams = signature.shape in ("streamer", "publisher")
        self._run = {
            "async": self._watch,
            "async_generator": self._stream,
            "sync": self._respond_in_thread,
            "sync_generator": self._stream_in_thread,
        }[signature.kind]
        self._input_schema = signature.input.schema if signature.input else None
        self._output_schema = None if streams else signature.output.schema
        self._chunk_schema = signature.output.schema if streams else None

    @property
    def name(self) -> str:
        """The name of the agent."""
        return self.spec.name

    def contract(self) -> AgentContract:
        """The contract, as the registry will have it."""
        shape = self.signature.shape
        streaming = shape in ("streamer", "publisher")
        invocable = shape not in ("publisher", "watcher")
        return AgentContract(
            name=self.name,
            description=self.spec.description,
            tags=self.spec.tags,
            version=self.spec.version,
            capabilities={"streaming": streaming, "invocable": invocable},
            subject=f"mesh.agent.{self.name}",
            invocable=invocable,
            streaming=streaming,
            mcp=self._options.get("mcp"),
            input_schema=self._input_schema,
            output_schema=self._output_schema,
            chunk_schema=self._chunk_schema,
        )

    def core_agent(self) -> Agent:
        """The agent for the core. Its handler runs in copies of the context of this call."""
        from ._bridge import core as _core

        self._context = contextvars.copy_context()
        self._tasks.clear()
        options: dict[str, Any] = {
            name: value for name, value in self._options.items() if value is not None
        }
        return _core.Agent(
            self.spec.name,
            self.spec.description,
            self.signature.shape,
            self.start,
            version=self.spec.version,
            tags=self.spec.tags,
            input_schema=_json(self._input_schema),
            output_schema=_json(self._output_schema),
            chunk_schema=_json(self._chunk_schema),
            **options,
        )

    def start(self, request: Request) -> None:
        """Starts the handler for a request, in a task of the running loop."""
        self._context.run(self._spawn, request)

    def _spawn(self, request: Request) -> None:
        # The task copies the context.
        task = asyncio.get_running_loop().create_task(self._handle(request))
        # A request may arrive after `asyncio.run` has cancelled the tasks, while the loop closes. Its caller gets an error; a
        # warning on stderr would tell nobody more. `asyncio.gather` does the same.
        with suppress(AttributeError):
            task._log_destroy_pending = False  # type: ignore[attr-defined,unused-ignore]
        # The loop has only a weak reference.
        self._tasks.add(task)
        request.on_cancel(partial(self._cancel, task))

    def _cancel(self, task: asyncio.Task[None]) -> None:
        # A task that has not begun never reaches the end of `_handle`.
        task.add_done_callback(self._tasks.discard)
        task.cancel()

    async def _handle(self, request: Request) -> None:
        task = asyncio.current_task()
        context = RequestContext(request)
        enter_request(context)
        try:
            arguments = self._arguments(request.body)
            if self._is_plain:
                body = self._dump(await self._function(*arguments))
            else:
                body = await self._run(request, arguments)
        except MeshError as error:
            if not isinstance(error, InvalidInput):
                logger.debug("agent '%s': %s: %s", self.name, error.code, error.message)
            request.fail(_utf8(error.code), _utf8(error.message), _details(error))
        except asyncio.CancelledError:
            request.fail("handler_error", "the handler was cancelled")
            raise
        except (KeyboardInterrupt, GeneratorExit) as error:
            request.fail("handler_error", _utf8(_described(error)))
            raise
        except BaseException as error:
            # `SystemExit`, too: code that parses arguments raises it, and a request must not end the process.
            logger.warning(
                "agent '%s': request %s failed: %s",
                self.name,
                request.request_id,
                _described(error),
                exc_info=error,
            )
            request.fail("handler_error", _utf8(_message(error)))
        else:
            request.finish(body)
        finally:
            context.ended = True
            request.on_cancel(None)
            self._tasks.discard(task)

    def _arguments(self, body: bytes) -> tuple[Any, ...]:
        adapter = self.signature.input
        # The core gives `null` for a request without input.
        if adapter is None or (body == NO_INPUT and self.signature.has_default):
            return ()
        return (adapter.validate(body),)

    async def _watch(self, request: Request, arguments: tuple[Any, ...]) -> bytes:
        await self._function()
        return NO_OUTPUT

    async def _respond_in_thread(self, request: Request, arguments: tuple[Any, ...]) -> bytes:
        if self.signature.shape == "watcher":
            output = await run_in_own_thread(self.name, self.signature.function)
        else:
            output = await _threads.run(self.signature.function, *arguments)
        if inspect.isawaitable(output):
            output = await output
        return NO_OUTPUT if self.signature.shape == "watcher" else self._dump(output)

    async def _stream(self, request: Request, arguments: tuple[Any, ...]) -> bytes:
        dump, send = self._dump, request.send_chunk
        chunks = self.signature.function(*arguments)
        try:
            async for chunk in chunks:
                room = send(dump(chunk))
                if room is not None:
                    await room
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        return b""

    async def _stream_in_thread(self, request: Request, arguments: tuple[Any, ...]) -> bytes:
        if self.signature.shape == "publisher":
            await run_in_own_thread(self.name, self._produce, request, arguments)
        else:
            await _threads.run(self._produce, request, arguments)
        return b""

    def _produce(self, request: Request, arguments: tuple[Any, ...]) -> None:
        dump, send = self._dump, request.send_chunk_blocking
        chunks = self.signature.function(*arguments)
        try:
            for chunk in chunks:
                if not send(dump(chunk)):
                    return
        finally:
            close: Callable[[], None] | None = getattr(chunks, "close", None)
            if close is not None:
                close()


def _json(schema: dict[str, Any] | None) -> str | None:
    return None if schema is None else json.dumps(schema)


def _details(error: MeshError) -> bytes | None:
    """The details as JSON. What JSON cannot express becomes a text: the request must be answered."""
    if not error.details:
        return None
    try:
        details = error.details if isinstance(error.details, dict) else {"details": error.details}
        return json.dumps(details, default=str, allow_nan=False, ensure_ascii=False).encode()
    except Exception:
        return json.dumps({"details": _utf8(_shown(error.details))}).encode()


def _shown(value: Any) -> str:
    try:
        return repr(value)[:MAX_DETAILS_CHARS]
    except Exception:
        return f"a {type(value).__name__}"


def _utf8(text: Any) -> str:
    """`text` without lone surrogates, which UTF-8 does not have."""
    return str(text).encode(errors="replace").decode()


def _message(error: BaseException) -> str:
    return _text(error) or type(error).__name__


def _described(error: BaseException) -> str:
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""
