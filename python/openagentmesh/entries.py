"""Values of `mesh.kv` and messages of subjects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class KVEntry(Generic[ValueT]):
    """A value of `mesh.kv` with its key and its revision. `operation` is `"PUT"` or `"DELETE"`."""

    key: str
    value: ValueT
    revision: int
    operation: Literal["PUT", "DELETE"] = "PUT"


@dataclass(frozen=True)
class MeshMessage:
    """A message of a subject. `payload` is unchanged."""

    subject: str
    payload: bytes
    headers: dict[str, str] = field(default_factory=dict)
