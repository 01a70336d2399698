"""A private server for tests and demos: `AgentMesh.local()`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mesh import AgentMesh


class LocalMesh:
    """The attribute `local` of `AgentMesh`, which works on the class and on an object."""

    def __get__(
        self, mesh: AgentMesh | None, owner: type[AgentMesh]
    ) -> Callable[[], AbstractAsyncContextManager[AgentMesh]]:
        def local() -> AbstractAsyncContextManager[AgentMesh]:
            """Starts a private server that ends with the block, and connects to it."""
            return _local(mesh if mesh is not None else owner())

        return local


@asynccontextmanager
async def _local(mesh: AgentMesh) -> AsyncIterator[AgentMesh]:
    await mesh._enter(local=True)
    try:
        yield mesh
    finally:
        await mesh._leave()
