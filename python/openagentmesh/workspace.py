"""The shared files of a mesh: `mesh.workspace`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from .errors import MeshError, NotFound, ObjectNotFoundError, with_nats_class

if TYPE_CHECKING:
    from ._core import Workspace
    from .mesh import AgentMesh


class SharedFiles:
    """The shared files of a mesh, of any size. A name is any text, usually with `/` (`"docs/report.pdf"`).

    ```python
    await mesh.workspace.put("docs/report.pdf", pdf_bytes)
    data = await mesh.workspace.get("docs/report.pdf")
    ```
    """

    def __init__(self, mesh: AgentMesh) -> None:
        self._mesh = mesh

    async def put(self, key: str, data: bytes | str) -> None:
        """Stores a file. A text is stored as UTF-8. An earlier file of this name is replaced."""
        if isinstance(data, str):
            data = data.encode()
        elif not isinstance(data, bytes):
            data = _bytes(data)
        workspace = await self._workspace()
        await workspace.put(key, data)

    async def get(self, key: str) -> bytes:
        """The content of a file. Raises `ObjectNotFoundError` if there is no file of this name."""
        workspace = await self._workspace()
        try:
            return await workspace.get(key)
        except NotFound as error:
            raise _not_found(key) from error

    async def delete(self, key: str) -> None:
        """Removes a file. Raises `ObjectNotFoundError` if there is no file of this name."""
        workspace = await self._workspace()
        try:
            existed = await workspace.delete(key)
        except NotFound as error:
            raise _not_found(key) from error
        if not existed:
            raise _not_found(key)

    async def put_file(self, key: str, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Stores the file at `path` in chunks, without holding it in memory, and returns its info."""
        workspace = await self._workspace()
        return _info(await workspace.put_file(key, os.fspath(path)))

    async def get_file(self, key: str, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Writes a file to `path`, in one step at the end, and returns its info.

        Raises `ObjectNotFoundError` if there is no file of this name.
        """
        workspace = await self._workspace()
        try:
            return _info(await workspace.get_file(key, os.fspath(path)))
        except NotFound as error:
            raise _not_found(key) from error

    async def info(self, key: str) -> dict[str, Any]:
        """Name, size in bytes, digest and time of a file. Raises `ObjectNotFoundError` if there is none."""
        workspace = await self._workspace()
        info = await workspace.info(key)
        if info is None:
            raise _not_found(key)
        return _info(info)

    async def list(self, prefix: str = "") -> list[dict[str, Any]]:
        """The infos of the files whose names begin with `prefix`."""
        workspace = await self._workspace()
        infos: list[dict[str, Any]] = json.loads(await workspace.list(prefix))
        return infos

    async def _workspace(self) -> Workspace:
        return (await self._mesh._ready()).workspace


def _info(document: bytes) -> dict[str, Any]:
    info: dict[str, Any] = json.loads(document)
    return info


def _not_found(key: str) -> MeshError:
    return with_nats_class(ObjectNotFoundError)(
        message=f"file '{key}' not found: the workspace has none of this name"
    )


def _bytes(data: Any) -> bytes:
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"invalid content of type {type(data).__name__}: bytes and str are allowed")
