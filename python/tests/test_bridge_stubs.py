"""The stubs of the Rust half have exactly its names and parameters."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import openagentmesh
from bridge_support import core

STUBS = Path(openagentmesh.__file__).with_name("_core.pyi")


def members(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """The functions, classes and constants of a body, by name."""
    named: dict[str, ast.stmt] = {}
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            named[statement.name] = statement
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            named[statement.target.id] = statement
    return {name: node for name, node in named.items() if not name.startswith("_") or name == "__version__"}


def parameters(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    return [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs] if a.arg != "self"]


def public(owner: Any) -> set[str]:
    return {name for name in vars(owner) if not name.startswith("_")}


def test_stubs_have_the_names_of_the_module() -> None:
    stubs = members(ast.parse(STUBS.read_text()).body)
    assert {name for name in stubs if name != "__version__"} == public(core)
    for name, node in stubs.items():
        if isinstance(node, ast.ClassDef):
            assert set(members(node.body)) == public(getattr(core, name)), name


def test_stubs_have_the_parameters_of_the_functions() -> None:
    def check(node: ast.FunctionDef, owner: Any) -> None:
        if any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
            return
        found = [p for p in inspect.signature(getattr(owner, node.name)).parameters if p != "self"]
        assert found == parameters(node), node.name

    for node in members(ast.parse(STUBS.read_text()).body).values():
        if isinstance(node, ast.FunctionDef):
            check(node, core)
        elif isinstance(node, ast.ClassDef):
            for method in members(node.body).values():
                if isinstance(method, ast.FunctionDef):
                    check(method, getattr(core, node.name))


def test_every_stub_has_a_docstring_or_is_a_plain_property() -> None:
    def check(node: ast.stmt, owner: str) -> None:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not ast.get_docstring(node):
            decorated = isinstance(node, ast.FunctionDef) and node.decorator_list
            assert decorated, f"{owner}{node.name} has no docstring"

    for node in members(ast.parse(STUBS.read_text()).body).values():
        check(node, "")
        if isinstance(node, ast.ClassDef):
            for method in members(node.body).values():
                check(method, f"{node.name}.")
