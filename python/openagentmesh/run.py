"""`mesh.run()`: serves until the process is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mesh import AgentMesh

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(mesh: AgentMesh) -> None:
    """Serves the agents of `mesh` in a new event loop until SIGINT or SIGTERM."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(
            "run() cannot be called while an event loop runs: use 'async with mesh:'"
        )
    try:
        asyncio.run(_serve(mesh))
    except KeyboardInterrupt:
        # Without a handler of ours: another thread than the main one, or another platform.
        pass


async def _serve(mesh: AgentMesh) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    signals = 0

    def interrupt() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            # The second signal does not wait for requests.
            mesh._abort()
        if task is not None:
            task.cancel()

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, interrupt)
    try:
        async with mesh:
            # To stderr: stdout belongs to the program.
            print(f"serving {mesh._served()} on {mesh.url}; Ctrl-C stops it", file=sys.stderr)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not signals:
            raise
    finally:
        for number in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
