"""Payloads and outputs as JSON. This module does without `pydantic`, whose import takes longer than all else."""

from __future__ import annotations

import json
from typing import Any

import pydantic_core


def encode(payload: Any) -> bytes | None:
    """A payload as JSON: `None` or `b""` for no input; `bytes` are JSON already; models, dataclasses, and whatever JSON has.

    Raises `TypeError` for anything else.
    """
    if payload is None:
        return None
    if isinstance(payload, (bytes, bytearray, memoryview)):
        return bytes(payload) or None
    try:
        return pydantic_core.to_json(payload)
    except Exception as error:
        raise TypeError(
            f"invalid payload of type {type(payload).__name__}: {error}; "
            "pass a pydantic model or a value that JSON can express"
        ) from error


def decode(body: bytes) -> Any:
    """The value of JSON in bytes; `{}` for an empty body. Raises `ValueError` if it is not JSON."""
    if not body:
        return {}
    try:
        return pydantic_core.from_json(body)
    except ValueError:
        # Texts with a lone surrogate are JSON for the standard library only.
        return json.loads(body)
