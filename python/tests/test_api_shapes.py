"""The shape of an agent from the signature of its function."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Optional, Union

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from openagentmesh import KVEntry, MeshMessage
from openagentmesh.shapes import caller_names, inspect_function


class In(BaseModel):
    text: str = Field(alias="Text")


class Out(BaseModel):
    words: int = 0


@dataclass
class Point:
    x: int


class Movie(TypedDict):
    title: str


def shape(function: Any) -> tuple[str, str]:
    signature = inspect_function(function, "a", caller_names(1))
    return signature.shape, signature.kind


async def responder(request: In) -> Out: ...  # type: ignore[empty-body]
async def consumer(request: In): ...  # type: ignore[no-untyped-def]
async def nothing(request: In) -> None: ...
async def streamer(request: In) -> Out:
    yield Out()


async def typed_streamer(request: In) -> AsyncIterator[Out]:
    yield Out()


async def typed_generator(request: In) -> AsyncGenerator[Out, None]:
    yield Out()


async def untyped_streamer(request: In):  # type: ignore[no-untyped-def]
    yield 1


async def trigger() -> Out: ...  # type: ignore[empty-body]
async def publisher() -> Out:
    yield Out()


async def watcher() -> None: ...
async def bare_watcher(): ...  # type: ignore[no-untyped-def]
def sync_responder(request: In) -> Out: ...  # type: ignore[empty-body]
def sync_trigger() -> Out: ...  # type: ignore[empty-body]
def sync_watcher() -> None: ...
def sync_streamer(request: In) -> Iterator[Out]:
    yield Out()


def sync_generator(request: In) -> Generator[Out, None, None]:
    yield Out()


def sync_iterable(request: In) -> Iterable[Out]:
    yield Out()


def sync_publisher() -> Out:
    yield Out()


def returns_iterator(request: In) -> AsyncIterator[Out]:
    return typed_streamer(request)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (responder, ("responder", "async")),
        (consumer, ("responder", "async")),
        (nothing, ("responder", "async")),
        (streamer, ("streamer", "async_generator")),
        (typed_streamer, ("streamer", "async_generator")),
        (typed_generator, ("streamer", "async_generator")),
        (untyped_streamer, ("streamer", "async_generator")),
        (trigger, ("trigger", "async")),
        (publisher, ("publisher", "async_generator")),
        (watcher, ("watcher", "async")),
        (bare_watcher, ("watcher", "async")),
        (sync_responder, ("responder", "sync")),
        (sync_trigger, ("trigger", "sync")),
        (sync_watcher, ("watcher", "sync")),
        (sync_streamer, ("streamer", "sync_generator")),
        (sync_generator, ("streamer", "sync_generator")),
        (sync_iterable, ("streamer", "sync_generator")),
        (sync_publisher, ("publisher", "sync_generator")),
        (returns_iterator, ("streamer", "async_generator")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_function_has_the_shape_of_its_signature(function: Any, expected: tuple[str, str]) -> None:
    assert shape(function) == expected


def test_methods_partials_and_callable_objects_are_functions() -> None:
    class Desk:
        async def open(self, request: In) -> Out: ...  # type: ignore[empty-body]

        async def __call__(self) -> Out:
            yield Out()

    async def scaled(request: In, factor: int) -> Out: ...  # type: ignore[empty-body]

    assert shape(Desk().open) == ("responder", "async")
    assert shape(Desk()) == ("publisher", "async_generator")
    assert shape(functools.partial(scaled, factor=2)) == ("responder", "async")


def test_chunk_schema_is_that_of_the_items() -> None:
    for function in (streamer, typed_streamer, typed_generator, sync_streamer, sync_iterable):
        assert inspect_function(function, "a", {}).output.schema == {
            "properties": {"words": {"default": 0, "title": "Words", "type": "integer"}},
            "title": "Out",
            "type": "object",
        }, function


@pytest.mark.parametrize(
    ("annotation", "body", "value"),
    [
        (In, b'{"Text": "a"}', In(Text="a")),
        (str, b'"a"', "a"),
        (int, b'"7"', 7),
        (list[int], b"[1, 2]", [1, 2]),
        (Optional[int], b"null", None),
        (Union[int, str], b'"a"', "a"),
        (dict[str, float], b'{"a": 1}', {"a": 1.0}),
        (tuple[int, str], b'[1, "a"]', (1, "a")),
        (Point, b'{"x": 1}', Point(1)),
        (Movie, b'{"title": "a"}', {"title": "a"}),
        (Annotated[int, Field(gt=0)], b"1", 1),
        (Any, b'{"a": [1]}', {"a": [1]}),
        (bytes, b'"abc"', b"abc"),
    ],
    ids=str,
)
def test_input_is_any_type_that_pydantic_adapts(annotation: Any, body: bytes, value: Any) -> None:
    async def handler(request):  # type: ignore[no-untyped-def]
        ...

    handler.__annotations__["request"] = annotation
    adapter = inspect_function(handler, "a", {}).input
    assert adapter is not None
    assert adapter.validate(body) == value


def test_annotations_as_text_find_local_types() -> None:
    class Local(BaseModel):
        x: int

    async def handler(request: Local) -> list[Local]: ...  # type: ignore[empty-body]

    signature = inspect_function(handler, "a", caller_names(0))
    assert signature.input is not None
    assert signature.input.validate(b'{"x": 1}') == Local(x=1)


def test_parameter_without_annotation_takes_any_json() -> None:
    async def handler(request): ...  # type: ignore[no-untyped-def]

    signature = inspect_function(handler, "a", {})
    assert signature.shape == "responder"
    assert signature.input is not None
    assert signature.input.schema == {}


def test_input_schema_uses_aliases() -> None:
    signature = inspect_function(responder, "a", {})
    assert signature.input is not None
    assert list(signature.input.schema["properties"]) == ["Text"]


def test_second_required_parameter_is_a_type_error() -> None:
    async def handler(a: str, b: str) -> str: ...  # type: ignore[empty-body]

    with pytest.raises(TypeError, match="more than one input"):
        inspect_function(handler, "a", {})


@pytest.mark.parametrize("function", [1, "text", None, In, Point])
def test_value_that_is_no_function_is_a_type_error(function: Any) -> None:
    with pytest.raises(TypeError, match="invalid handler of agent 'a'"):
        inspect_function(function, "a", {})


def test_type_that_pydantic_cannot_adapt_is_a_type_error() -> None:
    class Opaque:
        pass

    async def takes(request: Opaque) -> str: ...  # type: ignore[empty-body]
    async def returns(request: str) -> Opaque: ...  # type: ignore[empty-body]

    with pytest.raises(TypeError, match="invalid input type .* of agent 'a'"):
        inspect_function(takes, "a", locals())
    with pytest.raises(TypeError, match="invalid output type .* of agent 'a'"):
        inspect_function(returns, "a", locals())


def test_unknown_name_in_an_annotation_is_a_type_error() -> None:
    async def handler(request: Missing) -> str: ...  # type: ignore[name-defined, empty-body] # noqa: F821

    with pytest.raises(TypeError, match="Missing"):
        inspect_function(handler, "a", {})


@pytest.mark.parametrize("annotation", [KVEntry, KVEntry[bytes], MeshMessage])
def test_input_of_a_source_is_not_available_yet(annotation: Any) -> None:
    async def handler(request): ...  # type: ignore[no-untyped-def]

    handler.__annotations__["request"] = annotation
    with pytest.raises(NotImplementedError, match="not available yet"):
        inspect_function(handler, "a", {})
