"""The shared values of a mesh: `mesh.kv`."""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, List, TypeVar

from .entries import KVEntry
from .errors import KeyNotFoundError, KVKeyExists, KVWrongRevision, MeshError, with_nats_class

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ._core import Kv
    from .mesh import AgentMesh

ModelT = TypeVar("ModelT", bound="BaseModel")
ValueT = TypeVar("ValueT")

_WILDCARDS = ("*", ">")
_CONFLICTS = ("conflict", "kv_wrong_revision", "kv_key_exists")


class SharedValues:
    """The shared values of a mesh. Keys are letters, digits and `-`, `_`, `/`, `=`, `.`; values are texts or bytes.

    Dots separate the segments of a key, which the wildcards of `watch` and `list` match: `*` one, `>` the rest.

    ```python
    await mesh.kv.put("config.threshold", "0.85")
    value = await mesh.kv.get("config.threshold")
    ```
    """

    def __init__(self, mesh: AgentMesh) -> None:
        self._mesh = mesh

    async def put(self, key: str, value: str | bytes) -> int:
        """Writes a value and returns its revision. Raises `TypeError` for other types."""
        kv = await self._kv()
        return await kv.put(key, _bytes(value))

    async def get(self, key: str) -> str:
        """The value of a key as text.

        Raises `KeyNotFoundError` if the key has none, and `UnicodeDecodeError` if it is not UTF-8 (see `get_bytes`).
        """
        return (await self.get_bytes(key)).decode()

    async def get_bytes(self, key: str) -> bytes:
        """The value of a key, unchanged. Raises `KeyNotFoundError` if the key has none."""
        value, _ = await self._read(key)
        return value

    async def create(self, key: str, value: str | bytes | BaseModel) -> int:
        """Writes the first value of a key and returns its revision. Raises `KVKeyExists` if the key has one."""
        kv = await self._kv()
        data = _bytes(value) if isinstance(value, (str, bytes)) else _dump(value)
        try:
            return await kv.create(key, data)
        except MeshError as error:
            if error.code in _CONFLICTS:
                raise KVKeyExists(key=key) from error
            raise

    async def delete(self, key: str) -> None:
        """Removes the value of a key. A key without a value is no error."""
        kv = await self._kv()
        await kv.delete(key)

    async def update(
        self,
        key: str,
        fn: Callable[[str], str | Awaitable[str]],
        max_retries: int = 10,
    ) -> None:
        """Replaces a value by `fn(value)`, and reads and calls again if another process was faster.

        Raises `KeyNotFoundError` if the key has no value, and `RuntimeError` after `max_retries` lost attempts.

        ```python
        await mesh.kv.update("counter", lambda value: str(int(value) + 1))
        ```
        """
        kv = await self._kv()
        for _ in range(max_retries):
            value, revision = await self._read(key)
            new = fn(value.decode())
            if not isinstance(new, (str, bytes)):
                new = await new
            try:
                await kv.update(key, _bytes(new), revision)
            except MeshError as error:
                if error.code not in _CONFLICTS:
                    raise
            else:
                return
        raise RuntimeError(
            f"update of key '{key}' failed: other processes wrote it during all of {max_retries} attempts; "
            "use a larger max_retries"
        )

    def cas(self, key: str) -> CompareAndSwap[str]:
        """Reads a value, and writes it at the end of the block if the block has changed it.

        Raises `KeyNotFoundError` if the key has no value, and `KVWrongRevision` if another process wrote it during the
        block. An error of the block writes nothing.

        ```python
        async with mesh.kv.cas("config.threshold") as entry:
            entry.value = str(float(entry.value) + 0.1)
        ```
        """
        return CompareAndSwap(self, key, _Text(), raises=True)

    def try_cas(self, key: str) -> CompareAndSwap[str]:
        """As `cas`; but if another process wrote the key during the block, `entry.committed` is `False` after it.

        ```python
        async with mesh.kv.try_cas("election") as entry:
            if entry.value == "pending":
                entry.value = "mine"
        if entry.committed:
            ...
        ```
        """
        return CompareAndSwap(self, key, _Text(), raises=False)

    async def put_model(self, key: str, model: BaseModel) -> int:
        """Writes a model as JSON and returns the revision."""
        kv = await self._kv()
        return await kv.put(key, _dump(model))

    async def get_model(self, key: str, model: type[ModelT]) -> ModelT:
        """The value of a key as a model.

        Raises `KeyNotFoundError` if the key has none, and pydantic's `ValidationError` if it does not fit.
        """
        return model.model_validate_json(await self.get_bytes(key))

    def cas_model(self, key: str, model: type[ModelT]) -> CompareAndSwap[ModelT]:
        """As `cas`, with a model as `entry.value`, which the block changes or replaces."""
        return CompareAndSwap(self, key, _Model(model), raises=True)

    def try_cas_model(self, key: str, model: type[ModelT]) -> CompareAndSwap[ModelT]:
        """As `try_cas`, with a model as `entry.value`, which the block changes or replaces."""
        return CompareAndSwap(self, key, _Model(model), raises=False)

    async def list(self, prefix: str = ">") -> List[KVEntry[bytes]]:
        """The values whose keys match a pattern with wildcards, or begin with a text without wildcards."""
        kv = await self._kv()
        if any(segment in _WILDCARDS for segment in prefix.split(".")):
            listed = await kv.list(prefix)
        else:
            parent = prefix.rpartition(".")[0]
            listed = await kv.list(f"{parent}.>" if parent else ">")
            listed = [entry for entry in listed if entry[0].startswith(prefix)]
        return [KVEntry(key, value, revision) for key, value, revision in listed]

    async def list_models(self, prefix: str, model: type[ModelT]) -> List[KVEntry[ModelT]]:
        """As `list`, with models as values. Raises pydantic's `ValidationError` if a value does not fit."""
        return [
            KVEntry(entry.key, model.model_validate_json(entry.value), entry.revision)
            for entry in await self.list(prefix)
        ]

    async def watch(self, pattern: str = ">") -> AsyncIterator[str]:
        """Follows the keys that match a pattern: their values, then each new one. A removed value is `""`.

        ```python
        async for value in mesh.kv.watch("pipeline.*.status"):
            print(value)
        ```
        """
        async for entry in self.watch_entries(pattern):
            yield entry.value.decode()

    async def watch_entries(self, pattern: str = ">") -> AsyncIterator[KVEntry[bytes]]:
        """As `watch`, with key, revision and operation (`"PUT"` or `"DELETE"`) of each change."""
        kv = await self._kv()
        changes = await kv.watch(pattern)
        try:
            while True:
                batch = changes.next_batch()
                if isinstance(batch, Future):
                    batch = await batch
                if not batch:
                    return
                for change in batch:
                    if isinstance(change, BaseException):
                        raise change
                    key, value, revision = change
                    yield KVEntry(key, value or b"", revision, "DELETE" if value is None else "PUT")
        finally:
            changes.close()

    async def _kv(self) -> Kv:
        return (await self._mesh._ready()).kv

    async def _read(self, key: str) -> tuple[bytes, int]:
        kv = await self._kv()
        found = await kv.get(key)
        if found is None:
            raise with_nats_class(KeyNotFoundError)(
                message=f"key '{key}' not found: it has no value"
            )
        return found


class CompareAndSwap(Generic[ValueT]):
    """A value that is read at the start of a block and written at its end: see `SharedValues.cas`."""

    def __init__(
        self, values: SharedValues, key: str, form: _Form[ValueT], *, raises: bool
    ) -> None:
        self._values = values
        self._form = form
        self._raises = raises
        self._read = b""
        self._value: ValueT | None = None
        self.key = key
        """The key."""
        self.revision = 0
        """The revision that was read, or written at the end of the block."""
        self.committed = False
        """After the block: whether the value is that of the block. Also true if the block has not changed it."""

    @property
    def value(self) -> ValueT:
        """The value. Assign to it to write it at the end of the block."""
        if self._value is None:
            raise RuntimeError(f"the value of key '{self.key}' is not read yet: use 'async with'")
        return self._value

    @value.setter
    def value(self, value: ValueT) -> None:
        self._value = value

    async def __aenter__(self) -> CompareAndSwap[ValueT]:
        self.committed = False
        data, self.revision = await self._values._read(self.key)
        self._value = self._form.load(data)
        self._read = self._form.dump(self._value)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            return
        data = self._form.dump(self.value)
        if data == self._read:
            self.committed = True
            return
        kv = await self._values._kv()
        try:
            self.revision = await kv.update(self.key, data, self.revision)
        except MeshError as failure:
            if failure.code not in _CONFLICTS:
                raise
            if self._raises:
                raise with_nats_class(KVWrongRevision)(
                    message=f"compare-and-swap of key '{self.key}' failed: revision {self.revision} is not the "
                    "last one; read the value again"
                ) from failure
        else:
            self.committed = True


class _Form(Generic[ValueT]):
    """A form of values: bytes → value → bytes."""

    def load(self, data: bytes) -> ValueT:
        raise NotImplementedError

    def dump(self, value: ValueT) -> bytes:
        raise NotImplementedError


class _Text(_Form[str]):
    def load(self, data: bytes) -> str:
        return data.decode()

    def dump(self, value: str) -> bytes:
        return _bytes(value)


class _Model(_Form[ModelT]):
    def __init__(self, model: type[ModelT]) -> None:
        self._model = model

    def load(self, data: bytes) -> ModelT:
        return self._model.model_validate_json(data)

    def dump(self, value: ModelT) -> bytes:
        return _dump(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(
        f"invalid value of type {type(value).__name__}: str and bytes are allowed; use put_model for a pydantic model"
    )


def _dump(model: BaseModel) -> bytes:
    write = getattr(model, "model_dump_json", None)
    if write is None:
        raise TypeError(
            f"invalid model of type {type(model).__name__}: a pydantic model is expected"
        )
    text: str = write(by_alias=True)
    return text.encode()
