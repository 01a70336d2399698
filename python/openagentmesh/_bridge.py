"""Loads the Rust half of the package, where that is possible, and has the futures that it returns."""

from __future__ import annotations

import asyncio
import sysconfig
from typing import Any

__all__ = ["Operation", "core"]


def _is_main_interpreter() -> bool:
    """Whether this is the main interpreter of the process."""
    names = ("_interpreters", "_xxsubinterpreters")
    for name in names:
        try:
            interpreters: Any = __import__(name)
        except ImportError:
            continue
        current, main = interpreters.get_current(), interpreters.get_main()
        # Python 3.13 returns a tuple of the id and its origin.
        if isinstance(current, tuple):
            current, main = current[0], main[0]
        return bool(int(current) == int(main))
    return True


def _check_interpreter() -> None:
    """Raises ImportError for an interpreter that the Rust half does not support."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise ImportError(
            "openagentmesh cannot be imported by a free-threaded build of Python: the bridge to asyncio relies on the "
            "GIL; use a build with the GIL"
        )
    if not _is_main_interpreter():
        raise ImportError(
            "openagentmesh cannot be imported in a sub-interpreter: its threads serve the main interpreter; use it "
            "there, or in a process of its own"
        )


_check_interpreter()

from . import _core as core  # noqa: E402


class Operation(asyncio.Future[Any]):
    """The future of an operation of the Rust half. Cancelling it aborts the operation."""

    __slots__ = ("operation_id",)

    operation_id: int

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancels the future and aborts the operation. Returns `False` if the future is done."""
        if not super().cancel(msg):
            return False
        core.abort_operation(self.operation_id)
        return True
