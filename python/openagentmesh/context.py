"""The request that a handler runs for: its ids, its deadline, its usage and its trace context."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import Request
    from .models import Usage

_OPENTELEMETRY = "opentelemetry.trace"
_TRACE_HEADERS = ("traceparent", "tracestate", "baggage")

_current: ContextVar[RequestContext | None] = ContextVar("openagentmesh_request", default=None)


class RequestContext:
    """The request that the current handler runs for. `current_request()` returns it."""

    __slots__ = ("_request", "usage", "ended")

    def __init__(self, request: Request) -> None:
        self._request = request
        self.usage: Usage | None = None
        """The sum of the reports of `report_usage`."""
        self.ended = False
        """Whether the request has been answered."""

    @property
    def agent(self) -> str:
        """The name of the agent."""
        return self._request.agent

    @property
    def request_id(self) -> str:
        """The id of the request."""
        return self._request.request_id

    @property
    def caller(self) -> str | None:
        """The instance id of the caller, if the request names it."""
        return self._request.caller

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        return self._request.headers

    @property
    def time_left(self) -> float | None:
        """The seconds until the deadline of the request; `None` without a deadline."""
        return self._request.time_left

    @property
    def cancelled(self) -> bool:
        """Whether the caller has left, or the deadline has passed: long synchronous handlers check this."""
        return self._request.cancelled

    def __repr__(self) -> str:
        return f"<RequestContext agent={self.agent} request_id={self.request_id}>"


def current_request() -> RequestContext | None:
    """The request that this code runs for, or `None` outside of handlers.

    ```python
    @mesh.agent(spec)
    async def work(job: Job) -> Result:
        request = current_request()
        log.info("request %s, %s s left", request.request_id, request.time_left)
    ```
    """
    return _current.get()


def report_usage(usage: Usage) -> None:
    """Reports tokens and costs of the request that the current handler runs for.

    Several reports of one request add up. The sum goes out with the reply, in the header `X-Mesh-Usage`.

    Raises `RuntimeError` outside of handlers.

    ```python
    report_usage(Usage(input_tokens=1500, output_tokens=300, model="small"))
    ```
    """
    request = _current.get()
    if request is None:
        raise RuntimeError(
            "report_usage() outside of a handler: no request is running; call it from the handler of an agent"
        )
    request.usage = usage if request.usage is None else request.usage + usage
    request._request.set_usage(usage.model_dump_json(exclude_none=True).encode())


def enter_request(request: RequestContext) -> None:
    """Makes `request` the current one of this context, and its trace context the current one of OpenTelemetry."""
    _current.set(request)
    if _OPENTELEMETRY not in sys.modules:
        return
    propagate = _opentelemetry()
    if propagate is not None:
        carrier = _trace_headers(request._request)
        if carrier:
            from opentelemetry import context as otel_context

            otel_context.attach(propagate.extract(carrier))


def bounded_timeout(timeout: float | None) -> float | None:
    """`timeout`, but not more than the time that the current request has left."""
    request = _current.get()
    if request is None or request.ended:
        return timeout
    left = request.time_left
    if left is None:
        return timeout
    return left if timeout is None else min(timeout, left)


def outgoing_headers(headers: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """`headers` and the trace context of the current span, or that of the current request."""
    propagate = _opentelemetry()
    if propagate is not None:
        carrier = dict(headers) if headers else {}
        propagate.inject(carrier)
        return carrier or None
    request = _current.get()
    if request is None:
        return dict(headers) if headers else None
    return {**_trace_headers(request._request), **(headers or {})} or None


def _trace_headers(request: Request) -> dict[str, str]:
    values = ((name, request.header(name)) for name in _TRACE_HEADERS)
    return {name: value for name, value in values if value is not None}


def _opentelemetry() -> Any:
    """OpenTelemetry's propagators, if the program uses them."""
    if _OPENTELEMETRY not in sys.modules:
        return None
    try:
        from opentelemetry import propagate
    except ImportError:
        return None
    return propagate
