"""Names of sources and gates. This package does not have them yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol, runtime_checkable


@runtime_checkable
class Condition(Protocol):
    """A gate: an agent is served while `predicate` holds."""

    predicate: Callable[[Any], bool]
    initial: bool
    drain_timeout: float


@dataclass
class KVCondition:
    """A gate that follows a key of `mesh.kv`."""

    key: str
    predicate: Callable[[bytes | None], bool]
    initial: bool = False
    drain_timeout: float = 30.0


@dataclass
class SubjectCondition:
    """A gate that follows the messages of a subject."""

    subject: str
    predicate: Callable[[bytes], bool]
    initial: bool = False
    drain_timeout: float = 30.0


@dataclass
class KVSource:
    """A source that feeds an agent from keys of `mesh.kv`."""

    pattern: str
    replay: Literal["replay", "skip"] = "replay"


@dataclass
class SubjectSource:
    """A source that feeds an agent from a subject."""

    subject: str
    queue: str | None = None


def not_available(feature: str, remedy: str) -> NoReturn:
    """Raises `NotImplementedError` for a feature of the published SDK that this package does not have yet."""
    raise NotImplementedError(f"{feature} is not available yet in this package; {remedy}")
