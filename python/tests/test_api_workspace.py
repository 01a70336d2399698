"""Shared files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from api_support import on_loop
from openagentmesh import AgentMesh, NotFound, ObjectNotFoundError


@on_loop
async def test_file_is_stored_read_and_removed() -> None:
    async with AgentMesh.local() as mesh:
        content = os.urandom(3_000_000)
        assert await mesh.workspace.put("docs/report.pdf", content) is None  # type: ignore[func-returns-value]
        assert await mesh.workspace.get("docs/report.pdf") == content
        await mesh.workspace.put("docs/report.pdf", "a text: ä")
        assert await mesh.workspace.get("docs/report.pdf") == "a text: ä".encode()
        await mesh.workspace.put("empty", bytearray())
        assert await mesh.workspace.get("empty") == b""
        await mesh.workspace.delete("docs/report.pdf")
        with pytest.raises(ObjectNotFoundError):
            await mesh.workspace.get("docs/report.pdf")


@on_loop
async def test_missing_file_raises_both_classes() -> None:
    nats = pytest.importorskip("nats.js.errors")
    async with AgentMesh.local() as mesh:
        for operation in (
            mesh.workspace.get("missing"),
            mesh.workspace.delete("missing"),
            mesh.workspace.info("missing"),
            mesh.workspace.get_file("missing", "/tmp/never-written"),
        ):
            with pytest.raises(
                nats.ObjectNotFoundError, match="file 'missing' not found"
            ) as caught:
                await operation
            assert isinstance(caught.value, ObjectNotFoundError)
            assert isinstance(caught.value, NotFound)


@on_loop
async def test_content_of_another_type_is_a_type_error() -> None:
    async with AgentMesh.local() as mesh:
        with pytest.raises(TypeError, match="bytes and str"):
            await mesh.workspace.put("a", 1)  # type: ignore[arg-type]


@on_loop
async def test_files_of_the_disk_are_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(1_000_000))
    async with AgentMesh.local() as mesh:
        stored = await mesh.workspace.put_file("a/b", source)
        assert (stored["name"], stored["size"]) == ("a/b", 1_000_000)
        await mesh.workspace.get_file("a/b", target)
        assert target.read_bytes() == source.read_bytes()
        assert (await mesh.workspace.info("a/b"))["digest"] == stored["digest"]
        assert [info["name"] for info in await mesh.workspace.list("a/")] == ["a/b"]
        assert await mesh.workspace.list("b/") == []
