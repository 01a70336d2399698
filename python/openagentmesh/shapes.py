"""The shape of an agent from the signature of its function."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .adapters import AnyOutput, InputAdapter, OutputAdapter
from .entries import KVEntry, MeshMessage

Shape = Literal["responder", "streamer", "trigger", "publisher", "watcher"]

Kind = Literal["async", "async_generator", "sync", "sync_generator"]
"""How a function is run: `async def`, an async generator, `def` in a thread, a generator in a thread."""

_MISSING: Any = inspect.Parameter.empty

_ASYNC_ITERATORS = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)
_ITERATORS = (collections.abc.Iterator, collections.abc.Generator, collections.abc.Iterable)


@dataclass(frozen=True)
class Signature:
    """A function as an agent: its shape, how it is run, and the types of its input and its output."""

    function: Callable[..., Any]
    shape: Shape
    kind: Kind
    input: InputAdapter | None
    output: OutputAdapter | AnyOutput
    has_default: bool
    """Whether the function can be called without an input although it takes one."""


def inspect_function(function: Callable[..., Any], agent: str, names: dict[str, Any]) -> Signature:
    """The signature of `function`. `names` are the names that its annotations may use in addition to its module's.

    Raises `TypeError` if the function cannot be an agent; the message says why.
    """
    if not callable(function):
        raise TypeError(
            f"invalid handler of agent '{agent}': {function!r} is not callable; use a function"
        )
    if inspect.isclass(function):
        raise TypeError(
            f"invalid handler of agent '{agent}': {function.__name__} is a class; use a function or an instance"
        )
    kind = _kind(function)
    parameter = _parameter(function, agent)
    hints = _hints(function, agent, names)
    returned = hints.get("return", _MISSING)
    items = _item_type(returned, kind)
    if items is not None:
        returned, kind = items
    streams = kind in ("async_generator", "sync_generator")

    adapter = None
    if parameter is not None:
        annotation = hints.get(parameter.name, Any)
        _refuse_source_types(annotation, agent)
        adapter = InputAdapter(annotation, agent)
    return Signature(
        function=function,
        shape=_shape(adapter is not None, streams, returned),
        kind=kind,
        input=adapter,
        output=_output(returned, agent, streams),
        has_default=parameter is not None and parameter.default is not _MISSING,
    )


def _shape(has_input: bool, streams: bool, returned: Any) -> Shape:
    if has_input:
        return "streamer" if streams else "responder"
    if streams:
        return "publisher"
    return "watcher" if returned in (_MISSING, None, type(None)) else "trigger"


def _output(returned: Any, agent: str, streams: bool) -> OutputAdapter | AnyOutput:
    nothing = returned is None or returned is type(None)
    if returned is _MISSING or (nothing and not streams):
        return AnyOutput()
    return OutputAdapter(returned, agent)


def _kind(function: Callable[..., Any]) -> Kind:
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if not (inspect.isfunction(target) or inspect.ismethod(target) or inspect.isbuiltin(target)):
        target = getattr(type(target), "__call__", target)
    if inspect.isasyncgenfunction(target):
        return "async_generator"
    if inspect.iscoroutinefunction(target):
        return "async"
    if inspect.isgeneratorfunction(target):
        return "sync_generator"
    return "sync"


def _item_type(returned: Any, kind: Kind) -> tuple[Any, Kind] | None:
    """The type of the items, and how they are produced, if a return annotation is that of an iterator."""
    origin = typing.get_origin(returned) or returned
    arguments = typing.get_args(returned)
    item = arguments[0] if arguments else _MISSING
    if origin in _ASYNC_ITERATORS and kind in ("async_generator", "sync"):
        return item, "async_generator"
    # `Iterable` alone is also the annotation of a list.
    if origin in _ITERATORS and kind == "sync_generator":
        return item, kind
    if origin in _ITERATORS[:2] and kind == "sync":
        return item, "sync_generator"
    return None


def _parameter(function: Callable[..., Any], agent: str) -> inspect.Parameter | None:
    """The parameter that takes the input, if there is one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"invalid handler of agent '{agent}': its signature is unknown ({error})"
        ) from error
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    required = [
        parameter.name
        for parameter in parameters
        if parameter.default is _MISSING
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    extra = [name for name in required if not positional or name != positional[0].name]
    if extra:
        raise TypeError(
            f"invalid handler of agent '{agent}': it takes more than one input ({', '.join(required)}); "
            "use one model with these fields"
        )
    return positional[0] if positional else None


def _hints(function: Callable[..., Any], agent: str, names: dict[str, Any]) -> dict[str, Any]:
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if not (inspect.isfunction(target) or inspect.ismethod(target) or inspect.isbuiltin(target)):
        target = type(target).__call__
    target = inspect.unwrap(target)
    target = getattr(target, "__func__", target)
    if not any(isinstance(hint, str) for hint in getattr(target, "__annotations__", {}).values()):
        names = {}
    try:
        return typing.get_type_hints(target, localns=names or None, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"invalid annotation of the handler of agent '{agent}': {error}; define the type before the function"
        ) from error


def caller_names(depth: int) -> dict[str, Any]:
    """The local names of the function `depth` frames above the caller, in which string annotations are resolved."""
    frame: types.FrameType | None = sys._getframe(1)
    for _ in range(depth):
        frame = frame.f_back if frame else None
    if frame is None or frame.f_locals is frame.f_globals:
        return {}
    return dict(frame.f_locals)


def _refuse_source_types(annotation: Any, agent: str) -> None:
    if (typing.get_origin(annotation) or annotation) in (KVEntry, MeshMessage):
        raise NotImplementedError(
            f"agent '{agent}' takes a {annotation!r} of a source: sources are not available yet; "
            "subscribe or watch in a function without input"
        )
