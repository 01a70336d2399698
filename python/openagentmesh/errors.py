"""The errors of the mesh: one class for each code.

A reply that is an error, a request that fails on its way, and a handler that raises one of these classes all use the
same class for the same code. An unknown code is a plain `MeshError` that keeps the code.

```python
from openagentmesh import InvalidInput, MeshError

try:
    await mesh.call("summarizer", {"text": 42})
except InvalidInput as error:
    print(error.details["errors"])
except MeshError as error:
    print(error.code, error.message)
```
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, ClassVar

if sys.version_info >= (3, 11):
    _TimeoutBase = TimeoutError
else:
    # Python 3.10 has two classes.
    class _TimeoutBase(asyncio.TimeoutError, TimeoutError):
        """Both classes of timeouts."""


class MeshError(Exception):
    """An error of the mesh, local or remote.

    Attributes: `code` (the same in every language), `message`, `agent` (the agent concerned, or `""`), `request_id`
    (or `""`), and `details` (a dictionary that depends on the code).

    A handler that raises a `MeshError` answers its caller with this code, message and details:

    ```python
    raise MeshError("out_of_stock", "no tea left", details={"left": 0})
    ```
    """

    default_code: ClassVar[str] = "handler_error"
    """The code of an instance that is made without one."""

    code: str
    message: str
    agent: str
    request_id: str
    details: dict[str, Any]

    def __init__(
        self,
        code: str | None = None,
        message: str = "",
        agent: str = "",
        request_id: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        Exception.__init__(self, message)
        self.code = code or self.default_code
        self.message = message
        self.agent = agent or ""
        self.request_id = request_id or ""
        self.details = details if details is not None else {}

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (_importable(type(self)), self.args, self.__dict__.copy())

    def to_dict(self) -> dict[str, Any]:
        """The error as the protocol's error object: code, message, agent, request id and details."""
        return {
            "code": self.code,
            "message": self.message,
            "agent": self.agent,
            "request_id": self.request_id,
            "details": self.details,
        }

    def to_json(self) -> bytes:
        """The error object as JSON. Details that JSON cannot express are written as text."""
        return json.dumps(self.to_dict(), default=str).encode()


class _CodedError(MeshError):
    """A class with a code of its own. The message comes first."""

    def __init__(
        self,
        message: str = "",
        agent: str = "",
        request_id: str = "",
        details: dict[str, Any] | None = None,
        *,
        code: str | None = None,
    ) -> None:
        super().__init__(code, message, agent, request_id, details)


class InvalidInput(_CodedError):
    """The input does not fit the agent's schema (`invalid_input`). `details["errors"]` lists the problems, each with
    `loc`, `msg` and `type`. The handler has not run."""

    default_code = "invalid_input"


class HandlerError(_CodedError):
    """The handler of the agent failed (`handler_error`)."""

    default_code = "handler_error"


class InvocationMismatch(MeshError):
    """The verb does not fit the agent's shape (`invocation_mismatch`). The message names the verb that does."""

    default_code = "invocation_mismatch"

    def __init__(
        self,
        agent: str = "",
        message: str = "",
        request_id: str = "",
        details: dict[str, Any] | None = None,
        *,
        code: str | None = None,
    ) -> None:
        message = message or f"Invocation mismatch for agent '{agent}'"
        super().__init__(code, message, agent, request_id, details)


class ChunkSequenceError(MeshError):
    """Chunks or events were lost (`chunk_sequence_error`)."""

    default_code = "chunk_sequence_error"

    def __init__(
        self,
        agent: str = "",
        request_id: str = "",
        details: dict[str, Any] | None = None,
        *,
        message: str = "",
        code: str | None = None,
    ) -> None:
        known = details or {}
        expected = known.get("expected", known.get("expected_seq", "?"))
        got = known.get("got", known.get("got_seq", "?"))
        message = message or f"Expected chunk seq {expected}, got {got}"
        super().__init__(code, message, agent, request_id, details)


class MeshTimeout(MeshError, _TimeoutBase):
    """No reply, chunk or event arrived in time (`timeout`). Also a `TimeoutError`.

    `subject` is the subject that was silent, `timeout` the limit in seconds.
    """

    default_code = "timeout"

    subject: str
    timeout: float

    def __init__(
        self,
        subject: str = "",
        timeout: float = 0.0,
        *,
        message: str = "",
        agent: str = "",
        request_id: str = "",
        details: dict[str, Any] | None = None,
        code: str | None = None,
    ) -> None:
        message = message or f"No message on {subject} within {timeout}s"
        super().__init__(code, message, agent, request_id, details)
        self.subject = subject
        self.timeout = timeout


class NotFound(_CodedError):
    """The catalog does not list the agent and no process serves it (`not_found`)."""

    default_code = "not_found"


class NotAvailable(_CodedError):
    """The catalog lists the agent, but no process serves it now (`not_available`)."""

    default_code = "not_available"


class AgentDied(_CodedError):
    """The process of the agent ended while the request ran (`agent_died`). `details` has the death notice."""

    default_code = "agent_died"


class ConnectionFailed(_CodedError):
    """The server cannot be reached, or the connection was lost (`connection_failed`)."""

    default_code = "connection_failed"


class ConnectionDenied(_CodedError):
    """The server refuses the credentials, or an operation (`connection_denied`)."""

    default_code = "connection_denied"


class Overloaded(_CodedError):
    """The agent runs and queues as many requests as it may (`overloaded`). Another attempt later can succeed."""

    default_code = "overloaded"


class PayloadTooLarge(_CodedError):
    """The message exceeds the limit of the server (`payload_too_large`)."""

    default_code = "payload_too_large"


class KVKeyExists(MeshError):
    """`kv.create` found a value (`kv_key_exists`). `key` is its key."""

    default_code = "kv_key_exists"

    key: str

    def __init__(
        self,
        *,
        key: str = "",
        message: str = "",
        agent: str = "",
        request_id: str = "",
        details: dict[str, Any] | None = None,
        code: str | None = None,
    ) -> None:
        message = message or f"key '{key}' has a value: create needs a key without one"
        details = {"key": key} if details is None else details
        super().__init__(code, message, agent, request_id, details)
        self.key = key


class KVWrongRevision(_CodedError):
    """A compare-and-swap found a newer revision (`kv_wrong_revision`).

    Also `nats.js.errors.KeyWrongLastSequenceError`, if that module is imported when the error is made.
    """

    default_code = "kv_wrong_revision"


class KeyNotFoundError(NotFound):
    """A key of `mesh.kv` has no value.

    Also `nats.js.errors.KeyNotFoundError`, if that module is imported when the error is made.
    """


class ObjectNotFoundError(NotFound):
    """`mesh.workspace` has no file of this name.

    Also `nats.js.errors.ObjectNotFoundError`, if that module is imported when the error is made.
    """


class NotConnectedError(RuntimeError, AssertionError):
    """The mesh is used outside of `async with mesh:` or `mesh.run()`."""


_BY_CODE: dict[str, type[MeshError]] = {
    kind.default_code: kind
    for kind in (
        InvalidInput,
        HandlerError,
        InvocationMismatch,
        ChunkSequenceError,
        MeshTimeout,
        NotFound,
        NotAvailable,
        AgentDied,
        ConnectionFailed,
        ConnectionDenied,
        Overloaded,
        PayloadTooLarge,
        KVKeyExists,
        KVWrongRevision,
    )
}


def make_error(
    code: str,
    message: str,
    agent: str | None = None,
    request_id: str | None = None,
    details: bytes = b"",
) -> MeshError:
    """The error of a code: an instance of the class of the code, or of `MeshError` for an unknown code.

    `details` is a JSON object; anything else becomes no details.
    """
    try:
        parsed = json.loads(details) if details else {}
    except (ValueError, RecursionError):
        parsed = {}
    if not isinstance(parsed, dict):
        parsed = {}
    kind = _BY_CODE.get(code)
    common: dict[str, Any] = {
        "message": message,
        "agent": agent or "",
        "request_id": request_id or "",
        "details": parsed,
    }
    if kind is None:
        return MeshError(code, **common)
    if kind is MeshTimeout:
        subject = f"mesh.agent.{agent}" if agent else ""
        return MeshTimeout(subject, 0.0, **common)
    return kind(**common)


_NATS_CLASSES: dict[type[MeshError], str] = {
    KeyNotFoundError: "KeyNotFoundError",
    ObjectNotFoundError: "ObjectNotFoundError",
    KVWrongRevision: "KeyWrongLastSequenceError",
}
_combined: dict[tuple[type[MeshError], type[BaseException]], type[MeshError]] = {}


def with_nats_class(kind: type[MeshError]) -> type[MeshError]:
    """`kind`, and the class of the NATS client that programs catch for it if they have imported that client."""
    module = sys.modules.get("nats.js.errors")
    theirs = getattr(module, _NATS_CLASSES[kind], None) if module else None
    if not (isinstance(theirs, type) and issubclass(theirs, BaseException)):
        return kind
    combined = _combined.get((kind, theirs))
    if combined is None:
        body = {"__doc__": kind.__doc__, "__module__": kind.__module__, "entry": None, "op": None}
        combined = _combined[kind, theirs] = type(kind.__name__, (kind, theirs), body)
    return combined


def _importable(kind: type[MeshError]) -> type[MeshError]:
    """The class of this module for one of `with_nats_class`, which pickle cannot find by name."""
    for (ours, _), combined in _combined.items():
        if combined is kind:
            return ours
    return kind


def _restore(kind: type[MeshError], args: tuple[Any, ...], state: dict[str, Any]) -> MeshError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
