"""Shared values."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel, ValidationError

from api_support import on_loop, take
from openagentmesh import (
    AgentMesh,
    InvalidInput,
    KeyNotFoundError,
    KVEntry,
    KVKeyExists,
    KVWrongRevision,
    NotFound,
)


class Plan(BaseModel):
    state: str
    steps: list[str] = []


@on_loop
async def test_value_is_written_read_and_removed() -> None:
    async with AgentMesh.local() as mesh:
        first = await mesh.kv.put("config/threshold", "0.85")
        second = await mesh.kv.put("config/threshold", "ä")
        assert second > first > 0
        assert await mesh.kv.get("config/threshold") == "ä"
        await mesh.kv.delete("config/threshold")
        with pytest.raises(KeyNotFoundError):
            await mesh.kv.get("config/threshold")
        await mesh.kv.delete("missing")


@on_loop
async def test_missing_key_raises_both_classes() -> None:
    nats = pytest.importorskip("nats.js.errors")
    async with AgentMesh.local() as mesh:
        for operation in (mesh.kv.get("missing"), mesh.kv.update("missing", str.upper)):
            with pytest.raises(nats.KeyNotFoundError, match="key 'missing' not found") as caught:
                await operation
            assert isinstance(caught.value, KeyNotFoundError)
            assert isinstance(caught.value, NotFound)
        with pytest.raises(nats.KeyNotFoundError):
            async with mesh.kv.cas("missing"):
                raise AssertionError("the block must not run")


@on_loop
async def test_bytes_are_kept() -> None:
    async with AgentMesh.local() as mesh:
        await mesh.kv.put("raw", b"\x00\xff")
        assert await mesh.kv.get_bytes("raw") == b"\x00\xff"
        with pytest.raises(UnicodeDecodeError):
            await mesh.kv.get("raw")


@on_loop
async def test_value_of_another_type_is_a_type_error() -> None:
    async with AgentMesh.local() as mesh:
        with pytest.raises(TypeError, match="str and bytes"):
            await mesh.kv.put("a", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "a b", ".a", "a..b", "a.*", "ä"])
@on_loop
async def test_invalid_key_is_invalid_input(key: str) -> None:
    async with AgentMesh.local() as mesh:
        with pytest.raises(InvalidInput, match="key"):
            await mesh.kv.put(key, "x")


@on_loop
async def test_create_of_a_key_with_a_value_fails() -> None:
    async with AgentMesh.local() as mesh:
        assert await mesh.kv.create("a", "1") > 0
        with pytest.raises(KVKeyExists) as caught:
            await mesh.kv.create("a", "2")
        assert caught.value.key == "a"
        await mesh.kv.delete("a")
        assert await mesh.kv.create("a", Plan(state="new")) > 0
        assert await mesh.kv.get_model("a", Plan) == Plan(state="new")


class TestCompareAndSwap:
    @on_loop
    async def test_changed_value_is_written(self) -> None:
        async with AgentMesh.local() as mesh:
            before = await mesh.kv.put("n", "1")
            async with mesh.kv.cas("n") as entry:
                assert (entry.key, entry.value, entry.revision) == ("n", "1", before)
                entry.value = str(int(entry.value) + 1)
            assert entry.committed
            assert entry.revision > before
            assert await mesh.kv.get("n") == "2"

    @on_loop
    async def test_unchanged_value_is_not_written(self) -> None:
        async with AgentMesh.local() as mesh:
            before = await mesh.kv.put("n", "1")
            async with mesh.kv.cas("n") as entry:
                pass
            assert (entry.committed, entry.revision) == (True, before)
            assert (await mesh.kv.list("n"))[0].revision == before

    @on_loop
    async def test_error_in_the_block_writes_nothing(self) -> None:
        async with AgentMesh.local() as mesh:
            await mesh.kv.put("n", "1")
            with pytest.raises(LookupError):
                async with mesh.kv.cas("n") as entry:
                    entry.value = "2"
                    raise LookupError
            assert not entry.committed
            assert await mesh.kv.get("n") == "1"

    @on_loop
    async def test_lost_race_raises_both_classes(self) -> None:
        nats = pytest.importorskip("nats.js.errors")
        async with AgentMesh.local() as mesh:
            await mesh.kv.put("n", "1")
            with pytest.raises(nats.KeyWrongLastSequenceError) as caught:
                async with mesh.kv.cas("n") as entry:
                    await mesh.kv.put("n", "other")
                    entry.value = "2"
            assert isinstance(caught.value, KVWrongRevision)
            assert await mesh.kv.get("n") == "other"

    @on_loop
    async def test_lost_race_of_try_cas_is_data(self) -> None:
        async with AgentMesh.local() as mesh:
            await mesh.kv.put("n", "1")
            async with mesh.kv.try_cas("n") as entry:
                await mesh.kv.put("n", "other")
                entry.value = "2"
            assert not entry.committed
            async with mesh.kv.try_cas("n") as entry:
                entry.value = "3"
            assert entry.committed
            assert await mesh.kv.get("n") == "3"

    @on_loop
    async def test_models_are_changed_in_place_or_replaced(self) -> None:
        async with AgentMesh.local() as mesh:
            await mesh.kv.put_model("plan", Plan(state="new"))
            async with mesh.kv.cas_model("plan", Plan) as entry:
                entry.value.steps.append("a")
            async with mesh.kv.try_cas_model("plan", Plan) as entry:
                entry.value = Plan(state="done", steps=entry.value.steps)
            assert entry.committed
            assert await mesh.kv.get_model("plan", Plan) == Plan(state="done", steps=["a"])

    @on_loop
    async def test_value_outside_of_the_block_is_an_error(self) -> None:
        async with AgentMesh.local() as mesh:
            with pytest.raises(RuntimeError, match="async with"):
                _ = mesh.kv.cas("n").value


@on_loop
async def test_concurrent_updates_lose_nothing() -> None:
    async with AgentMesh.local() as mesh:
        await mesh.kv.put("n", "0")

        async def increment(value: str) -> str:
            return str(int(value) + 1)

        await asyncio.gather(
            *(
                mesh.kv.update("n", lambda value: str(int(value) + 1), max_retries=100)
                for _ in range(10)
            ),
            *(mesh.kv.update("n", increment, max_retries=100) for _ in range(10)),
        )
        assert await mesh.kv.get("n") == "20"


@on_loop
async def test_update_that_always_loses_is_a_runtime_error() -> None:
    async with AgentMesh.local() as mesh:
        await mesh.kv.put("n", "0")
        attempts = 0

        async def slow(value: str) -> str:
            nonlocal attempts
            attempts += 1
            await mesh.kv.put("n", value)
            return "mine"

        with pytest.raises(RuntimeError, match="3 attempts"):
            await mesh.kv.update("n", slow, max_retries=3)
        assert attempts == 3


@on_loop
async def test_list_takes_patterns_and_prefixes() -> None:
    async with AgentMesh.local() as mesh:
        for key in ("a.b.c", "a.b.d.e", "a.bcd", "x/y", "x/z"):
            await mesh.kv.put(key, key)

        async def keys(prefix: str) -> list[str]:
            return sorted(entry.key for entry in await mesh.kv.list(prefix))

        assert await keys("a.b.>") == ["a.b.c", "a.b.d.e"]
        assert await keys("a.*") == ["a.bcd"]
        assert await keys("a.b") == ["a.b.c", "a.b.d.e", "a.bcd"]
        assert await keys("a.b.") == ["a.b.c", "a.b.d.e"]
        assert await keys("x/") == ["x/y", "x/z"]
        assert len(await keys(">")) == 5
        assert await keys("nothing.*") == []
        entry = (await mesh.kv.list("a.bcd"))[0]
        assert entry == KVEntry("a.bcd", b"a.bcd", entry.revision, "PUT")


@on_loop
async def test_models_are_listed() -> None:
    async with AgentMesh.local() as mesh:
        await mesh.kv.put_model("plans.a", Plan(state="new"))
        (entry,) = await mesh.kv.list_models("plans.*", Plan)
        assert (entry.key, entry.value) == ("plans.a", Plan(state="new"))
        await mesh.kv.put("plans.b", "{}")
        with pytest.raises(ValidationError):
            await mesh.kv.list_models("plans.*", Plan)
        with pytest.raises(ValidationError):
            await mesh.kv.get_model("plans.b", Plan)


@on_loop
async def test_watch_has_the_current_values_first() -> None:
    async with AgentMesh.local() as mesh:
        await mesh.kv.put("w.a", "1")
        await mesh.kv.put("other", "x")
        values = mesh.kv.watch("w.*")
        assert await values.__anext__() == "1"
        await mesh.kv.put("w.b", "2")
        assert await values.__anext__() == "2"
        await mesh.kv.delete("w.a")
        assert await values.__anext__() == ""
        await values.aclose()  # type: ignore[attr-defined]
        entries = await take(mesh.kv.watch_entries("w.b"), 1)
        assert (entries[0].key, entries[0].value, entries[0].operation) == ("w.b", b"2", "PUT")
