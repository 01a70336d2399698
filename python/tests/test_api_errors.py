"""Errors as classes by code."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import types

import pytest

import openagentmesh as oam
from openagentmesh import errors

BY_CODE = {
    "invalid_input": oam.InvalidInput,
    "handler_error": oam.HandlerError,
    "invocation_mismatch": oam.InvocationMismatch,
    "chunk_sequence_error": oam.ChunkSequenceError,
    "timeout": oam.MeshTimeout,
    "not_found": oam.NotFound,
    "not_available": oam.NotAvailable,
    "agent_died": oam.AgentDied,
    "connection_failed": oam.ConnectionFailed,
    "connection_denied": oam.ConnectionDenied,
    "overloaded": oam.Overloaded,
    "payload_too_large": oam.PayloadTooLarge,
    "kv_key_exists": oam.KVKeyExists,
    "kv_wrong_revision": oam.KVWrongRevision,
}


@pytest.mark.parametrize(("code", "kind"), BY_CODE.items())
def test_error_of_a_known_code_has_its_class(code: str, kind: type[oam.MeshError]) -> None:
    error = errors.make_error(code, "message", "agent", "request", b'{"key": 1}')
    assert type(error) is kind
    assert isinstance(error, oam.MeshError)
    assert error.to_dict() == {
        "code": code,
        "message": "message",
        "agent": "agent",
        "request_id": "request",
        "details": {"key": 1},
    }
    assert json.loads(error.to_json()) == error.to_dict()
    assert str(error) == "message"
    assert repr(error) == f"{kind.__name__}('message')"


@pytest.mark.parametrize("kind", [oam.MeshError, *BY_CODE.values()])
def test_error_without_arguments_has_its_code(kind: type[oam.MeshError]) -> None:
    error = kind()
    assert error.code == kind.default_code
    assert (error.agent, error.request_id) == ("", "")


def test_error_of_an_unknown_code_keeps_it() -> None:
    error = errors.make_error("out_of_stock", "no tea", None, None, b"")
    assert type(error) is oam.MeshError
    assert (error.code, error.agent, error.request_id, error.details) == (
        "out_of_stock",
        "",
        "",
        {},
    )


@pytest.mark.parametrize("details", [b"", b"null", b"[1]", b"not json", b"[" * 100_000])
def test_details_that_are_no_object_become_empty(details: bytes) -> None:
    assert errors.make_error("mine", "message", details=details).details == {}


def test_mesh_error_takes_names_and_positions() -> None:
    by_name = oam.MeshError(
        code="mine", message="boom", agent="a", request_id="r", details={"x": 1}
    )
    by_position = oam.MeshError("mine", "boom", "a", "r", {"x": 1})
    assert by_name.to_dict() == by_position.to_dict()


def test_constructors_of_the_published_sdk_work() -> None:
    assert oam.ChunkSequenceError("a", "r", {"expected": 1, "got": 3}).message == (
        "Expected chunk seq 1, got 3"
    )
    assert oam.InvocationMismatch("a").message == "Invocation mismatch for agent 'a'"
    timeout = oam.MeshTimeout("mesh.agent.a", 2.0)
    assert timeout.message == "No message on mesh.agent.a within 2.0s"
    assert (timeout.subject, timeout.timeout, timeout.code) == ("mesh.agent.a", 2.0, "timeout")
    exists = oam.KVKeyExists(key="k")
    assert (exists.key, exists.code, exists.details) == ("k", "kv_key_exists", {"key": "k"})


def test_mesh_timeout_is_a_timeout_error() -> None:
    assert issubclass(oam.MeshTimeout, TimeoutError)
    assert issubclass(oam.MeshTimeout, asyncio.TimeoutError)


def test_details_that_json_cannot_express_become_text() -> None:
    error = oam.MeshError("mine", "boom", details={"a": {1, 2}.__class__})
    assert json.loads(error.to_json())["details"] == {"a": "<class 'set'>"}


@pytest.mark.parametrize("kind", [oam.MeshError, *BY_CODE.values()])
def test_error_survives_pickling(kind: type[oam.MeshError]) -> None:
    error = errors.make_error(kind.default_code, "boom", "a", "r", b'{"x": 1}')
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.to_dict() == error.to_dict()


def test_not_connected_is_both_classes_that_programs_catch() -> None:
    assert issubclass(oam.NotConnectedError, AssertionError)
    assert issubclass(oam.NotConnectedError, RuntimeError)


class TestNatsClasses:
    """The errors of values and files are also those of the NATS client, when the program has imported it."""

    KINDS = {
        oam.KeyNotFoundError: "KeyNotFoundError",
        oam.ObjectNotFoundError: "ObjectNotFoundError",
        oam.KVWrongRevision: "KeyWrongLastSequenceError",
    }

    @pytest.mark.parametrize(("kind", "name"), KINDS.items())
    def test_error_with_nats_py_is_both(self, kind: type[oam.MeshError], name: str) -> None:
        nats = pytest.importorskip("nats.js.errors")
        combined = errors.with_nats_class(kind)
        error = combined(message="gone")
        assert isinstance(error, kind)
        assert isinstance(error, getattr(nats, name))
        assert str(error) == "gone"
        assert error.code == kind.default_code
        assert errors.with_nats_class(kind) is combined
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (kind, "gone")

    @pytest.mark.parametrize("kind", KINDS)
    def test_error_without_nats_py_is_ours(
        self, kind: type[oam.MeshError], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "nats.js.errors", raising=False)
        assert errors.with_nats_class(kind) is kind

    @pytest.mark.parametrize("kind", KINDS)
    def test_error_with_another_module_of_that_name_is_ours(
        self, kind: type[oam.MeshError], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "nats.js.errors", types.ModuleType("nats.js.errors"))
        assert errors.with_nats_class(kind) is kind
