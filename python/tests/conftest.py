"""Fixtures of all tests."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from openagentmesh._bridge import core
from openagentmesh.errors import make_error

REPOSITORY = Path(__file__).parents[2]
PUBLISHED_VERSION = "0.2.0"
PUBLISHED_VARIABLE = "OAM_PUBLISHED_PYTHON"


@pytest.fixture(autouse=True)
def error_factory(request: pytest.FixtureRequest) -> Iterator[None]:
    """The tests of the bridge set an error factory of their own for the process."""
    if request.module.__name__.rpartition(".")[2].startswith("test_bridge_"):
        yield
        return
    core.set_error_factory(make_error)
    yield


@pytest.fixture(scope="session")
def published_python() -> Path:
    """The interpreter of an environment with the published SDK.

    That of the variable, or that of the tests in `interop/`, which is created if there is none.
    """
    if PUBLISHED_VARIABLE in os.environ:
        return Path(os.environ[PUBLISHED_VARIABLE])
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    home = target / "interop" / f"openagentmesh-{PUBLISHED_VERSION}"
    interpreter = home / "bin" / "python"
    if (home / "complete").exists():
        return interpreter
    if sys.version_info < (3, 11):
        pytest.skip("the published SDK needs Python 3.11")
    venv.create(home, clear=True, with_pip=True)
    install = [
        interpreter,
        "-m",
        "pip",
        "install",
        "--quiet",
        f"openagentmesh=={PUBLISHED_VERSION}",
    ]
    subprocess.run(install, check=True, env={**os.environ, "PYTHONPATH": ""})
    (home / "complete").touch()
    return interpreter
