"""The public names: all of them, their signatures, their docstrings and their types."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import openagentmesh as oam
from conftest import REPOSITORY

PUBLISHED = [
    "AgentMesh",
    "AgentContract",
    "AgentSpec",
    "CatalogEntry",
    "MeshError",
    "HandlerError",
    "InvalidInput",
    "InvocationMismatch",
    "ChunkSequenceError",
    "MeshTimeout",
    "NotFound",
    "NotAvailable",
    "AgentDied",
    "ConnectionDenied",
    "ConnectionFailed",
    "KVKeyExists",
    "Condition",
    "KVCondition",
    "SubjectCondition",
    "KVSource",
    "SubjectSource",
    "KVEntry",
    "MeshMessage",
    "DeathNotice",
    "LogEvent",
    "ObserveConfig",
    "Usage",
    "report_usage",
]

SIGNATURES = {
    "__init__": "(self, url: 'str' = 'nats://localhost:4222', *, creds: 'str | None' = None, "
    "tls_cert: 'str | None' = None, tls_key: 'str | None' = None, tls_ca: 'str | None' = None) -> 'None'",
    "call": "(self, name: 'str', payload: 'Any' = None, timeout: 'float | None' = 30.0) -> 'Any'",
    "stream": "(self, name: 'str', payload: 'Any' = None, timeout: 'float | None' = 60.0) -> 'AsyncIterator[Any]'",
    "subscribe": "(self, *, agent: 'str | None' = None, channel: 'str | None' = None, "
    "subject: 'str | None' = None, timeout: 'float | None' = None) -> 'AsyncIterator[Any]'",
    "send": "(self, name: 'str', payload: 'Any' = None, *, on_reply: 'ReplyCallback | None' = None, "
    "on_error: 'ErrorCallback | None' = None, reply_to: 'str | None' = None, "
    "timeout: 'float | None' = 60.0) -> 'None'",
    "publish": "(self, subject: 'str', payload: 'Any', *, headers: 'Mapping[str, str] | None' = None) -> 'None'",
    "catalog": "(self, channel: 'str | None' = None, tags: 'Sequence[str] | None' = None, "
    "streaming: 'bool | None' = None, invocable: 'bool | None' = None) -> 'list[CatalogEntry]'",
    "contract": "(self, name: 'str') -> 'AgentContract'",
    "discover": "(self, channel: 'str | None' = None) -> 'list[AgentContract]'",
    "run": "(self) -> 'None'",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_name_of_the_published_sdk_is_exported(name: str) -> None:
    assert name in oam.__all__
    assert hasattr(oam, name)


def test_all_names_exist() -> None:
    assert sorted(oam.__all__, key=str.lower) == sorted(set(oam.__all__), key=str.lower)
    for name in oam.__all__:
        assert hasattr(oam, name)


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_method_has_the_documented_signature(name: str, signature: str) -> None:
    assert str(inspect.signature(getattr(oam.AgentMesh, name))) == signature


def test_agent_takes_the_documented_arguments() -> None:
    parameters = inspect.signature(oam.AgentMesh.agent).parameters
    assert list(parameters)[:5] == ["self", "spec", "sources", "active_when", "mcp"]


@pytest.mark.parametrize("name", ["stream", "subscribe"])
def test_generator_of_the_documented_api_is_one(name: str) -> None:
    assert inspect.isasyncgenfunction(getattr(oam.AgentMesh, name))


def public_members() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in oam.__all__:
        value = getattr(oam, name)
        found.append((name, value))
        if not inspect.isclass(value):
            continue
        for member, attribute in inspect.getmembers(value):
            inherited = getattr(BaseModel, member, None) is not None or hasattr(Exception, member)
            if member.startswith("_") or inherited or hasattr(list, member):
                continue
            if isinstance(attribute, property) or inspect.isroutine(attribute):
                found.append((f"{name}.{member}", attribute))
    found += [
        (f"AgentMesh.{part}.{member}", attribute)
        for part, kind in (
            ("kv", oam.AgentMesh().kv),
            ("workspace", oam.AgentMesh().workspace),
            ("observe", oam.AgentMesh().observe),
            ("sync", oam.AgentMesh().sync),
        )
        for member, attribute in inspect.getmembers(type(kind))
        if not member.startswith("_") and inspect.isroutine(attribute)
    ]
    return found


@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(*member, id=member[0]) for member in public_members()]
)
def test_public_name_has_a_docstring(name: str, value: Any) -> None:
    assert inspect.getdoc(value), f"{name} has no docstring"


def test_program_that_only_calls_does_not_import_pydantic() -> None:
    program = """
import asyncio, sys
from openagentmesh import AgentMesh, MeshError

async def main():
    async with AgentMesh.local() as mesh:
        await mesh.kv.put("a", "1")
        try:
            await mesh.call("nobody", {"a": 1})
        except MeshError:
            pass

asyncio.run(main())
assert "pydantic" not in sys.modules
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        _ = oam.missing
    assert set(oam.__all__) <= set(dir(oam))


def test_package_is_marked_as_typed() -> None:
    assert (Path(oam.__file__).parent / "py.typed").exists()


def test_package_passes_mypy_in_strict_mode(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    program = tmp_path / "program.py"
    program.write_text(
        '''
from collections.abc import AsyncIterator

from openagentmesh import AgentMesh, AgentSpec, CatalogEntry
from pydantic import BaseModel


class In(BaseModel):
    text: str


mesh = AgentMesh()


@mesh.agent(AgentSpec(name="a", description="d"))
async def a(request: In) -> str:
    return request.text


@mesh.agent
async def b() -> AsyncIterator[int]:
    """Counts."""
    yield 1


async def main() -> None:
    async with mesh, AgentMesh.local() as other:
        entries: list[CatalogEntry] = await mesh.catalog(tags=["a"])
        text: str = await a(In(text="x"))
        revision: int = await other.kv.put("a", text)
        async with mesh.kv.cas_model("k", In) as entry:
            entry.value.text = str(revision) + entries[0].name
        async for chunk in mesh.stream("b"):
            print(chunk)
        (tool, *_) = await mesh.tools(channel="c")
        print(await tool(x=1), mesh.sync.kv.get("a").upper())
'''
    )
    for target in (["-p", "openagentmesh"], [str(program)]):
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "mypy",
                "--strict",
                "--cache-dir",
                str(tmp_path / "cache"),
                *target,
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def samples() -> list[Any]:
    """The Python samples of the docstrings and the pages."""
    package = Path(oam.__file__).parent
    pages = [REPOSITORY / "docs" / "src" / "python.md", REPOSITORY / "python" / "README.md"]
    found = []
    for source in [*sorted(package.glob("*.py")), *(page for page in pages if page.exists())]:
        blocks = re.findall(
            r"^( *)```python\n(.*?)^ *```", source.read_text(), re.DOTALL | re.MULTILINE
        )
        for number, (_, block) in enumerate(blocks):
            found.append(pytest.param(textwrap.dedent(block), id=f"{source.name}-{number}"))
    return found


@pytest.mark.parametrize("sample", samples())
def test_sample_compiles(sample: str) -> None:
    code = sample.replace('\\"', '"').replace(", ...)", ")")
    compile(code, "sample", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
