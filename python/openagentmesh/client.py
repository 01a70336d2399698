"""The verbs of a mesh: call, stream, send, subscribe, publish, and the catalog."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .context import bounded_timeout, outgoing_headers
from .errors import (
    ChunkSequenceError,
    InvocationMismatch,
    MeshError,
    MeshTimeout,
    NotAvailable,
    NotFound,
)
from .json_codec import decode, encode

if TYPE_CHECKING:
    from ._core import Event, Mesh
    from .agents import LocalAgent
    from .models import AgentContract, CatalogEntry

logger = logging.getLogger("openagentmesh")

NO_LIMIT = 315_360_000.0
"""The timeout in seconds that stands for none: ten years."""

ReplyCallback = Callable[[Any], Awaitable[None] | None]
ErrorCallback = Callable[[MeshError], Awaitable[None] | None]


class Client:
    """The verbs. `AgentMesh` is the class to use."""

    _agents: dict[str, LocalAgent]
    _pending: dict[str, LocalAgent]
    _core: Mesh | None
    _callbacks: set[asyncio.Task[None]]

    def _connected(self) -> Mesh:
        raise NotImplementedError

    async def _flush(self) -> None:
        raise NotImplementedError

    async def _ready(self) -> Mesh:
        """The connection, after the pending agents are served."""
        core = self._connected()
        if self._pending:
            await self._flush()
        return core

    async def call(self, name: str, payload: Any = None, timeout: float | None = 30.0) -> Any:
        """Calls an agent and returns its output.

        `payload` is a pydantic model or a value that JSON can express; `None` is no input. `timeout` is in seconds;
        within a handler the deadline of its request also applies. Models come back as dictionaries.

        Raises `InvocationMismatch` if the agent streams or publishes, `NotFound` or `NotAvailable` if no process serves
        it, `MeshTimeout`, `AgentDied`, `Overloaded`, and the error of the agent: `InvalidInput`, `HandlerError`, or a
        `MeshError` with the agent's own code. Raises `TypeError` if the payload cannot be JSON. If the task is
        cancelled, the handler is cancelled at its host.

        ```python
        reply = await mesh.call("echo", {"message": "hi"}, timeout=5.0)
        ```
        """
        core = self._core
        if core is None or self._pending:
            core = await self._ready()
        limit = bounded_timeout(NO_LIMIT if timeout is None else timeout)
        try:
            reply = await core.call(name, encode(payload), limit, outgoing_headers())
        except MeshTimeout as error:
            raise _timed_out(error, f"mesh.agent.{name}", timeout) from None
        return decode(reply)

    async def stream(
        self, name: str, payload: Any = None, timeout: float | None = 60.0
    ) -> AsyncIterator[Any]:
        """Requests a stream and yields its chunks. `timeout` in seconds is for the whole stream.

        The host sends no more than the consumer takes. Leaving the loop cancels the handler.

        Raises as `call` does, and `ChunkSequenceError` if chunks were lost.

        ```python
        async for chunk in mesh.stream("summarizer", {"text": text}):
            print(chunk["delta"], end="")
        ```
        """
        batches = self._chunk_batches(name, payload, timeout)
        try:
            async for batch in batches:
                for chunk in batch:
                    yield decode(chunk)
        finally:
            await batches.aclose()  # type: ignore[attr-defined]

    async def _chunk_batches(
        self, name: str, payload: Any, timeout: float | None
    ) -> AsyncIterator[list[bytes]]:
        core = await self._ready()
        limit = bounded_timeout(NO_LIMIT if timeout is None else timeout)
        try:
            chunks = await core.stream(
                name, encode(payload), limit, outgoing_headers(), chunk_timeout=limit
            )
            try:
                while True:
                    batch = chunks.next_batch()
                    if isinstance(batch, asyncio.Future):
                        batch = await batch
                    if not batch:
                        return
                    yield batch
            finally:
                chunks.close()
        except MeshTimeout as error:
            raise _timed_out(error, f"mesh.agent.{name}", timeout) from None

    async def send(
        self,
        name: str,
        payload: Any = None,
        *,
        on_reply: ReplyCallback | None = None,
        on_error: ErrorCallback | None = None,
        reply_to: str | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        """Sends a request without waiting for its reply. Returns when the request is sent.

        With `on_reply` or `on_error`, one of them is called once, with the output or with the `MeshError`; both may be
        `async def` or plain functions. With `reply_to`, the reply goes to that subject. With none of them, the reply is
        dropped. `timeout` in seconds is for the callbacks. An agent that no process serves is no error of `send`:
        `on_error` gets a `MeshTimeout` after the timeout.

        Raises `ValueError` for both `on_reply` and `reply_to`, and `InvocationMismatch` if the agent publishes.

        ```python
        await mesh.send("summarizer", payload, on_reply=store, on_error=report)
        ```
        """
        if reply_to is not None and (on_reply is not None or on_error is not None):
            given = "on_reply" if on_reply is not None else "on_error"
            raise ValueError(f"'{given}' and 'reply_to' are mutually exclusive")
        core = await self._ready()
        body = encode(payload)
        loop = asyncio.get_running_loop()
        limit = NO_LIMIT if timeout is None else timeout
        started = loop.time()

        def replied(reply: bytes) -> None:
            if on_reply is not None:
                self._run_callback(on_reply, decode(reply))

        def failed(error: BaseException) -> None:
            if on_error is None:
                return
            if isinstance(error, (NotFound, NotAvailable)):
                left = max(0.0, started + limit - loop.time())
                loop.call_later(left, failed, MeshTimeout(f"mesh.agent.{name}", limit, agent=name))
            elif isinstance(error, MeshTimeout):
                self._run_callback(on_error, _timed_out(error, f"mesh.agent.{name}", limit))
            elif isinstance(error, MeshError):
                self._run_callback(on_error, error)

        wants_reply = on_reply is not None or on_error is not None
        try:
            await core.send(
                name,
                body,
                limit if wants_reply else None,
                outgoing_headers(),
                reply_to=reply_to,
                on_reply=replied if wants_reply else None,
                on_error=failed if wants_reply else None,
            )
        except (NotFound, NotAvailable) as error:
            failed(error)

    def _run_callback(self, callback: Callable[[Any], Any], argument: Any) -> None:
        try:
            result = callback(argument)
        except Exception:
            logger.exception("callback %r of send() failed", callback)
            return
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(_awaited(result, callback))
            self._callbacks.add(task)
            task.add_done_callback(self._callbacks.discard)

    async def subscribe(
        self,
        *,
        agent: str | None = None,
        channel: str | None = None,
        subject: str | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Any]:
        """Subscribes to the events of an agent, of the agents of a channel, or of a subject (wildcards allowed).

        Yields the JSON value of each event; a text if the publisher sent one, and bytes for anything else. `timeout`
        in seconds is for the silence between two events; `None` is no limit.

        Raises `ValueError` unless there is exactly one valid selector, `NotFound` for an unknown agent,
        `InvocationMismatch` if the agent does not publish, `MeshTimeout` after silence, and the error that ends a
        publisher. Events that are lost, because the consumer is too slow or the connection was lost, are logged as a
        warning of the logger `openagentmesh`; the subscription goes on.

        ```python
        async for event in mesh.subscribe(agent="price-feed"):
            print(event["price"])
        ```
        """
        batches = self._event_batches(agent, channel, subject, timeout)
        try:
            async for batch in batches:
                for event in batch:
                    if isinstance(event, BaseException):
                        _note_loss(event)
                    else:
                        yield _event_value(event)
        finally:
            await batches.aclose()  # type: ignore[attr-defined]

    async def _event_batches(
        self,
        agent: str | None,
        channel: str | None,
        subject: str | None,
        timeout: float | None,
    ) -> AsyncIterator[list[Event | BaseException]]:
        _check_selectors(agent, channel, subject)
        core = self._connected()
        pending = self._pending.get(agent) if agent else None
        if pending is not None:
            # The catalog does not list the agent yet, and its first events must not be lost.
            if pending.signature.shape != "publisher":
                verb = "stream" if pending.signature.shape == "streamer" else "call"
                message = f"Agent '{agent}' does not publish events. Use {verb}() instead"
                raise InvocationMismatch(agent or "", message)
            events = await core.subscribe(agent=agent, timeout=timeout, check=False)
        else:
            events = await core.subscribe(
                agent=agent, channel=channel, subject=subject, timeout=timeout
            )
        silent = subject or (f"mesh.agent.{agent}.events" if agent else f"mesh.agent.{channel}.>")
        try:
            if self._pending:
                await self._flush()
            while True:
                batch = events.next_batch()
                if isinstance(batch, asyncio.Future):
                    batch = await batch
                if not batch:
                    return
                last = batch[-1]
                if isinstance(last, MeshTimeout):
                    # The events end with it.
                    _timed_out(last, silent, timeout)
                yield batch
        except MeshTimeout as error:
            raise _timed_out(error, silent, timeout) from None
        finally:
            events.close()

    async def publish(
        self, subject: str, payload: Any, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Publishes an event on a subject: a model or value as JSON, `str` as text, `bytes` unchanged.

        Raises `ValueError` for a subject that is empty or has wildcards, and `RuntimeError` outside of
        `async with mesh:`.

        ```python
        await mesh.publish("orders.placed", {"id": 7})
        ```
        """
        _check_subject(subject)
        core = await self._ready()
        kind: Literal["json", "text", "bytes"] = "json"
        if isinstance(payload, str):
            body, kind = payload.encode(), "text"
        elif isinstance(payload, (bytes, bytearray, memoryview)):
            body, kind = bytes(payload), "bytes"
        else:
            body = b"null" if payload is None else (encode(payload) or b"null")
        await core.publish(subject, body, kind, outgoing_headers(headers))

    async def catalog(
        self,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        streaming: bool | None = None,
        invocable: bool | None = None,
    ) -> list[CatalogEntry]:
        """The agents of the mesh: those of a channel and its sub-channels, with all of `tags`, and of a capability.

        ```python
        for entry in await mesh.catalog(channel="finance"):
            print(entry.name, entry.description)
        ```
        """
        core = await self._ready()
        document = await core.catalog(channel, _tags(tags), streaming, invocable)
        from .models import CatalogEntry

        return [CatalogEntry.model_validate(entry) for entry in json.loads(document)]

    async def contract(self, name: str) -> AgentContract:
        """The contract of an agent. Raises `NotFound` if the registry has none.

        ```python
        contract = await mesh.contract("summarizer")
        print(contract.input_schema)
        ```
        """
        core = await self._ready()
        from .models import AgentContract

        return AgentContract.from_registry_json(await core.contract(name))

    async def discover(self, channel: str | None = None) -> list[AgentContract]:
        """The contracts of the agents of a channel and its sub-channels, or of all agents."""
        core = await self._ready()
        from .models import AgentContract

        documents = json.loads(await core.discover(channel))
        return [AgentContract.from_registry_json(json.dumps(document)) for document in documents]

    async def wait_for(self, name: str, timeout: float | None = 30.0) -> CatalogEntry:
        """Waits until the catalog lists an agent, and returns its entry. Raises `MeshTimeout`."""
        core = await self._ready()
        from .models import CatalogEntry

        limit = NO_LIMIT if timeout is None else timeout
        try:
            return CatalogEntry.model_validate_json(await core.wait_for(name, limit))
        except MeshTimeout as error:
            raise _timed_out(error, f"mesh.agent.{name}", timeout) from None


async def _awaited(result: Awaitable[Any], callback: Callable[[Any], Any]) -> None:
    try:
        await result
    except Exception:
        logger.exception("callback %r of send() failed", callback)


def _timed_out(error: MeshTimeout, subject: str, timeout: float | None) -> MeshTimeout:
    """`error` with the subject and the limit, which the core does not know."""
    error.subject = subject
    error.timeout = timeout if timeout is not None else 0.0
    return error


def _note_loss(error: BaseException) -> None:
    """Logs the loss of events. Raises every other error."""
    if not isinstance(error, ChunkSequenceError):
        raise error
    logger.warning("%s", error)


def _event_value(event: Event) -> Any:
    data = event.data
    kind = event.content_type
    if kind == "json":
        try:
            return decode(data)
        except (ValueError, RecursionError):
            # A subject may carry anything.
            return data
    return data if kind == "bytes" else data.decode(errors="replace")


def _tags(tags: Sequence[str] | None) -> Sequence[str] | None:
    return [tags] if isinstance(tags, str) else tags


def _check_selectors(agent: str | None, channel: str | None, subject: str | None) -> None:
    named = {"agent": agent, "channel": channel, "subject": subject}
    given = [name for name, value in named.items() if value is not None]
    if not given or any(named[name] == "" for name in given):
        raise ValueError("Provide 'agent', 'channel', or 'subject'")
    if len(given) > 1:
        raise ValueError(f"'{given[0]}' and '{given[1]}' are mutually exclusive")
    name = given[0]
    value = str(named[name])
    if name != "subject" and any(segment in ("*", ">") for segment in value.split(".")):
        raise ValueError(f"invalid {name} '{value}': a wildcard is allowed in 'subject' only")
    if name == "subject":
        segments = value.split(".")
        if any(not segment or any(c.isspace() for c in segment) for segment in segments):
            raise ValueError(
                f"invalid subject '{value}': empty segments and spaces are not allowed"
            )
        if ">" in segments[:-1]:
            raise ValueError(
                f"invalid subject '{value}': the wildcard '>' is allowed at the end only"
            )


def _check_subject(subject: str) -> None:
    segments = subject.split(".") if isinstance(subject, str) else [""]
    if any(not segment or any(c.isspace() for c in segment) for segment in segments):
        raise ValueError(
            f"invalid subject '{subject}': segments without spaces, separated by dots, are allowed"
        )
    if any(segment in ("*", ">") for segment in segments):
        raise ValueError(f"invalid subject '{subject}': a wildcard is allowed in 'subscribe' only")
