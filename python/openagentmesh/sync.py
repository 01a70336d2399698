"""The verbs of a mesh as blocking functions: `mesh.sync`."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, List, TypeVar

from .client import ErrorCallback, ReplyCallback, _event_value, _note_loss
from .json_codec import decode

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .entries import KVEntry
    from .kv import CompareAndSwap, SharedValues
    from .mesh import AgentMesh
    from .models import AgentContract, CatalogEntry
    from .tools import Toolset

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound="BaseModel")

EXIT_TIMEOUT = 5.0
"""Limit in seconds of the disconnection at the exit of the interpreter."""


class SyncMesh:
    """The verbs of a mesh as blocking functions.

    If the mesh is connected by `async with` or `run()`, the verbs use that connection; so synchronous handlers call
    other agents by `mesh.sync`. Otherwise the first verb connects in a thread of its own; `close()`, the end of the
    `with` block or the exit of the interpreter disconnects. Agents of the mesh are served in that thread's event loop.

    Ctrl-C during a verb cancels the request and raises `KeyboardInterrupt`.

    ```python
    with AgentMesh().sync as mesh:
        print(mesh.call("echo", "hi"))
        for chunk in mesh.stream("summarizer", {"text": text}):
            print(chunk)
    ```
    """

    def __init__(self, mesh: AgentMesh) -> None:
        self._mesh = mesh
        self._lock = threading.Lock()
        self._thread: _LoopThread | None = None
        self.kv = SyncValues(self)
        """The shared values."""
        self.workspace = SyncFiles(self)
        """The shared files."""

    @property
    def mesh(self) -> AgentMesh:
        """The mesh, for `@mesh.agent` and for asynchronous code."""
        return self._mesh

    @property
    def url(self) -> str:
        """The server's URL."""
        return self._mesh.url

    @property
    def instance_id(self) -> str:
        """The id of this process on the mesh."""
        return self._mesh.instance_id

    def __repr__(self) -> str:
        return f"<SyncMesh of {self._mesh!r}>"

    # Entering and leaving

    def __enter__(self) -> SyncMesh:
        self._connect(local=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def local(self) -> Iterator[SyncMesh]:
        """Starts a private server that ends with the block, and connects to it.

        ```python
        with AgentMesh().sync.local() as mesh:
            mesh.kv.put("a", "1")
        ```
        """
        self._connect(local=True)
        try:
            yield self
        finally:
            self.close()

    def close(self) -> None:
        """Disconnects, if this object has connected. The next verb connects again."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(self._at_exit)
            thread.close(self._mesh)

    def _at_exit(self) -> None:
        """Disconnects while the threads of the interpreter still run."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close_within(self._mesh, EXIT_TIMEOUT)

    def _connect(self, *, local: bool) -> asyncio.AbstractEventLoop:
        with self._lock:
            loop = self._mesh._loop
            if loop is not None and self._mesh._core is not None and loop.is_running():
                if local:
                    raise RuntimeError(
                        "the mesh is connected already: create another AgentMesh for local()"
                    )
                return loop
            thread = _LoopThread()
            try:
                thread.run(self._mesh._enter(local=local))
            except BaseException:
                thread.stop()
                raise
            self._thread = thread
            atexit.register(self._at_exit)
            return thread.loop

    def _run(self, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = self._connect(local=False)
        _refuse_own_loop(loop)
        return _wait(loop, operation())

    def _iterate(self, source: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        """The items of an asynchronous generator that lives in the loop of the connection."""
        loop = self._connect(local=False)
        _refuse_own_loop(loop)
        generator: Any = source()
        end = object()

        async def step() -> Any:
            try:
                return await generator.__anext__()
            except StopAsyncIteration:
                return end

        try:
            while (item := _wait(loop, step())) is not end:
                yield item
        finally:
            if loop.is_running():
                _wait(loop, generator.aclose())

    # The verbs

    def call(self, name: str, payload: Any = None, timeout: float | None = 30.0) -> Any:
        """As `AgentMesh.call`."""
        return self._run(lambda: self._mesh.call(name, payload, timeout))

    def stream(self, name: str, payload: Any = None, timeout: float | None = 60.0) -> Iterator[Any]:
        """As `AgentMesh.stream`."""
        for batch in self._iterate(lambda: self._mesh._chunk_batches(name, payload, timeout)):
            for chunk in batch:
                yield decode(chunk)

    def send(
        self,
        name: str,
        payload: Any = None,
        *,
        on_reply: ReplyCallback | None = None,
        on_error: ErrorCallback | None = None,
        reply_to: str | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        """As `AgentMesh.send`. The callbacks run in the thread of the event loop."""
        self._run(
            lambda: self._mesh.send(
                name,
                payload,
                on_reply=on_reply,
                on_error=on_error,
                reply_to=reply_to,
                timeout=timeout,
            )
        )

    def subscribe(
        self,
        *,
        agent: str | None = None,
        channel: str | None = None,
        subject: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[Any]:
        """As `AgentMesh.subscribe`. The subscription begins with the first `next()`."""
        for batch in self._iterate(
            lambda: self._mesh._event_batches(agent, channel, subject, timeout)
        ):
            for event in batch:
                if isinstance(event, BaseException):
                    _note_loss(event)
                else:
                    yield _event_value(event)

    def publish(
        self, subject: str, payload: Any, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """As `AgentMesh.publish`."""
        self._run(lambda: self._mesh.publish(subject, payload, headers=headers))

    def catalog(
        self,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        streaming: bool | None = None,
        invocable: bool | None = None,
    ) -> list[CatalogEntry]:
        """As `AgentMesh.catalog`."""
        return self._run(lambda: self._mesh.catalog(channel, tags, streaming, invocable))

    def contract(self, name: str) -> AgentContract:
        """As `AgentMesh.contract`."""
        return self._run(lambda: self._mesh.contract(name))

    def discover(self, channel: str | None = None) -> list[AgentContract]:
        """As `AgentMesh.discover`."""
        return self._run(lambda: self._mesh.discover(channel))

    def wait_for(self, name: str, timeout: float | None = 30.0) -> CatalogEntry:
        """As `AgentMesh.wait_for`."""
        return self._run(lambda: self._mesh.wait_for(name, timeout))

    def tools(
        self,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> Toolset:
        """As `AgentMesh.tools`. Call the tools by `call_sync`."""
        return self._run(lambda: self._mesh.tools(channel, tags, names))


class SyncValues:
    """`mesh.kv` as blocking functions."""

    def __init__(self, mesh: SyncMesh) -> None:
        self._sync = mesh

    def put(self, key: str, value: str | bytes) -> int:
        """As `SharedValues.put`."""
        return self._sync._run(lambda: self._values.put(key, value))

    def get(self, key: str) -> str:
        """As `SharedValues.get`."""
        return self._sync._run(lambda: self._values.get(key))

    def get_bytes(self, key: str) -> bytes:
        """As `SharedValues.get_bytes`."""
        return self._sync._run(lambda: self._values.get_bytes(key))

    def create(self, key: str, value: str | bytes | BaseModel) -> int:
        """As `SharedValues.create`."""
        return self._sync._run(lambda: self._values.create(key, value))

    def delete(self, key: str) -> None:
        """As `SharedValues.delete`."""
        self._sync._run(lambda: self._values.delete(key))

    def update(self, key: str, fn: Callable[[str], str], max_retries: int = 10) -> None:
        """As `SharedValues.update`."""
        self._sync._run(lambda: self._values.update(key, fn, max_retries))

    def put_model(self, key: str, model: BaseModel) -> int:
        """As `SharedValues.put_model`."""
        return self._sync._run(lambda: self._values.put_model(key, model))

    def get_model(self, key: str, model: type[ModelT]) -> ModelT:
        """As `SharedValues.get_model`."""
        return self._sync._run(lambda: self._values.get_model(key, model))

    def list(self, prefix: str = ">") -> List[KVEntry[bytes]]:
        """As `SharedValues.list`."""
        return self._sync._run(lambda: self._values.list(prefix))

    def list_models(self, prefix: str, model: type[ModelT]) -> List[KVEntry[ModelT]]:
        """As `SharedValues.list_models`."""
        return self._sync._run(lambda: self._values.list_models(prefix, model))

    def cas(self, key: str) -> SyncCompareAndSwap[str]:
        """As `SharedValues.cas`, with `with`."""
        return SyncCompareAndSwap(self._sync, self._values.cas(key))

    def try_cas(self, key: str) -> SyncCompareAndSwap[str]:
        """As `SharedValues.try_cas`, with `with`."""
        return SyncCompareAndSwap(self._sync, self._values.try_cas(key))

    def cas_model(self, key: str, model: type[ModelT]) -> SyncCompareAndSwap[ModelT]:
        """As `SharedValues.cas_model`, with `with`."""
        return SyncCompareAndSwap(self._sync, self._values.cas_model(key, model))

    def try_cas_model(self, key: str, model: type[ModelT]) -> SyncCompareAndSwap[ModelT]:
        """As `SharedValues.try_cas_model`, with `with`."""
        return SyncCompareAndSwap(self._sync, self._values.try_cas_model(key, model))

    def watch(self, pattern: str = ">") -> Iterator[str]:
        """As `SharedValues.watch`."""
        return self._sync._iterate(lambda: self._values.watch(pattern))

    def watch_entries(self, pattern: str = ">") -> Iterator[KVEntry[bytes]]:
        """As `SharedValues.watch_entries`."""
        return self._sync._iterate(lambda: self._values.watch_entries(pattern))

    @property
    def _values(self) -> SharedValues:
        return self._sync._mesh.kv


class SyncCompareAndSwap(Generic[T]):
    """`CompareAndSwap` with `with`."""

    def __init__(self, mesh: SyncMesh, entry: CompareAndSwap[T]) -> None:
        self._sync = mesh
        self._entry = entry

    def __enter__(self) -> CompareAndSwap[T]:
        return self._sync._run(self._entry.__aenter__)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sync._run(lambda: self._entry.__aexit__(kind, error, trace))


class SyncFiles:
    """`mesh.workspace` as blocking functions."""

    def __init__(self, mesh: SyncMesh) -> None:
        self._sync = mesh

    def put(self, key: str, data: bytes | str) -> None:
        """As `SharedFiles.put`."""
        self._sync._run(lambda: self._sync._mesh.workspace.put(key, data))

    def get(self, key: str) -> bytes:
        """As `SharedFiles.get`."""
        return self._sync._run(lambda: self._sync._mesh.workspace.get(key))

    def delete(self, key: str) -> None:
        """As `SharedFiles.delete`."""
        self._sync._run(lambda: self._sync._mesh.workspace.delete(key))

    def put_file(self, key: str, path: str | os.PathLike[str]) -> dict[str, Any]:
        """As `SharedFiles.put_file`."""
        return self._sync._run(lambda: self._sync._mesh.workspace.put_file(key, path))

    def get_file(self, key: str, path: str | os.PathLike[str]) -> dict[str, Any]:
        """As `SharedFiles.get_file`."""
        return self._sync._run(lambda: self._sync._mesh.workspace.get_file(key, path))

    def info(self, key: str) -> dict[str, Any]:
        """As `SharedFiles.info`."""
        return self._sync._run(lambda: self._sync._mesh.workspace.info(key))

    def list(self, prefix: str = "") -> list[dict[str, Any]]:
        """As `SharedFiles.list`."""
        return self._sync._run(lambda: self._sync._mesh.workspace.list(prefix))


class _LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="openagentmesh-sync", daemon=True)
        self._thread.start()

    def run(self, operation: Coroutine[Any, Any, T]) -> T:
        return _wait(self.loop, operation)

    def close(self, mesh: AgentMesh) -> None:
        """Disconnects and ends the thread."""
        try:
            self.run(mesh._leave())
        finally:
            self.stop()

    def close_within(self, mesh: AgentMesh, limit: float) -> None:
        """As `close`, but ends requests that run after `limit` seconds."""
        left = asyncio.run_coroutine_threadsafe(mesh._leave(), self.loop)
        try:
            left.result(limit)
        except Exception:
            mesh._abort()
        finally:
            self.stop()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(EXIT_TIMEOUT)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            pending = asyncio.all_tasks(self.loop)
            for task in pending:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


def _wait(loop: asyncio.AbstractEventLoop, operation: Coroutine[Any, Any, T]) -> T:
    """The result of an operation that runs in the loop of another thread. Ctrl-C cancels it."""
    future = asyncio.run_coroutine_threadsafe(operation, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _refuse_own_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    if running is loop:
        raise RuntimeError(
            "mesh.sync blocks the event loop of the mesh: use 'await mesh.call(…)' in asynchronous functions"
        )
