"""JSON and types: pydantic validates inputs, writes outputs and makes the schemas."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pydantic_core
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from .errors import InvalidInput

NO_INPUT = b"null"
"""The body of a request without input."""

MAX_PROBLEMS = 20
"""The problems of an input that are listed; the details have the number of all others."""

NO_OUTPUT = b"{}"
"""The output of a handler that returns nothing."""


class InputAdapter:
    """Validates the inputs of an agent, JSON in bytes, as a type that pydantic adapts."""

    __slots__ = ("_validate", "schema")

    def __init__(self, annotation: Any, agent: str) -> None:
        """Raises `TypeError` if pydantic cannot adapt the annotation."""
        adapter = _adapter(annotation, agent, "input")
        self._validate = adapter.validator.validate_json
        self.schema = _schema(adapter, "validation", agent)

    def validate(self, body: bytes) -> Any:
        """The input. Raises `InvalidInput` for every error, also for those that a validator of the type raises."""
        try:
            return self._validate(body)
        except ValidationError as error:
            raise invalid_input(error) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # A validator may raise anything, `SystemExit` included: a request must not end the process.
            raise InvalidInput(f"invalid input: {type(error).__name__}: {error}") from error


class OutputAdapter:
    """Writes the outputs or chunks of an agent as JSON."""

    __slots__ = ("dump", "schema")

    def __init__(self, annotation: Any, agent: str) -> None:
        """Raises `TypeError` if pydantic cannot adapt the annotation."""
        adapter = _adapter(annotation, agent, "output")
        self.dump: Callable[[Any], bytes] = functools.partial(
            adapter.serializer.to_json, by_alias=True
        )
        """Returns an output as JSON, with the names of the schema (aliases)."""
        self.schema = _schema(adapter, "serialization", agent)


class AnyOutput:
    """Writes outputs of a handler without a return annotation."""

    __slots__ = ()

    schema: dict[str, Any] | None = None

    def dump(self, output: Any) -> bytes:
        """The output as JSON; `{}` for `None`."""
        return NO_OUTPUT if output is None else pydantic_core.to_json(output)


def invalid_input(error: ValidationError) -> InvalidInput:
    """The mesh's error for an error of pydantic. Its details list the problems without the input itself.

    The problems have the fields of those of an agent in Rust: a JSON pointer, a message, and the rule.
    """
    try:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        listed = [
            {
                "location": "".join(f"/{_token(step)}" for step in problem["loc"]),
                "message": problem["msg"],
                "rule": problem["type"],
            }
            for problem in problems[:MAX_PROBLEMS]
        ]
        message = "; ".join(
            ".".join(map(str, problem["loc"])) + ": " + problem["msg"]
            if problem["loc"]
            else problem["msg"]
            for problem in problems[:3]
        )
    except Exception as failure:
        problems, listed, message = [], [], f"{error.title}: {failure}"
    more = len(problems) - 3
    message += f"; and {more} more" if more > 0 else ""
    details: dict[str, Any] = {"errors": listed}
    if len(problems) > MAX_PROBLEMS:
        details["omitted"] = len(problems) - MAX_PROBLEMS
    return InvalidInput(f"invalid input: {message}", details=details)


def _token(step: str | int) -> str:
    """A step of a location as a token of a JSON pointer."""
    return str(step).replace("~", "~0").replace("/", "~1")


def _adapter(annotation: Any, agent: str, role: str) -> TypeAdapter[Any]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        # A type whose definition is not complete has a validator that fails when it is used.
        if not getattr(adapter, "pydantic_complete", True):
            adapter.rebuild(raise_errors=True)
        return adapter
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise TypeError(
            f"invalid {role} type {annotation!r} of agent '{agent}': pydantic cannot adapt it ({error.message})"
        ) from error


def _schema(adapter: TypeAdapter[Any], mode: Any, agent: str) -> dict[str, Any]:
    try:
        return adapter.json_schema(mode=mode)
    except PydanticUserError as error:
        raise TypeError(
            f"invalid type {adapter!r} of agent '{agent}': pydantic has no JSON Schema for it ({error.message})"
        ) from error
