"""`AgentMesh`: a process's way onto a mesh."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from ._bridge import core as _core
from .client import Client
from .errors import NotConnectedError
from .kv import SharedValues
from .local import LocalMesh
from .observe import Observer
from .run import run
from .sources import (
    Condition,
    KVCondition,
    KVSource,
    SubjectCondition,
    SubjectSource,
    not_available,
)
from .workspace import SharedFiles

if TYPE_CHECKING:
    from ._core import Mesh
    from .agents import LocalAgent
    from .models import AgentSpec
    from .sync import SyncMesh
    from .tools import Toolset

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_SOURCE_REMEDY = "subscribe or watch in an agent without input, and call the other agent from there"
_GATE_REMEDY = "check the condition in the handler"
_MCP_REMEDY = "use the published SDK for it"


class AgentMesh(Client):
    """A mesh: serves the agents of this process, and calls those of others.

    `url` is the server's; `creds` the path of a NATS credentials file; `tls_cert` and `tls_key` the paths of a client
    certificate and its key; `tls_ca` the path of the certificates to trust.

    ```python
    mesh = AgentMesh()

    @mesh.agent(AgentSpec(name="echo", description="Echoes a message back."))
    async def echo(message: str) -> str:
        return f"Echo: {message}"

    async with mesh:
        print(await mesh.call("echo", "hi"))
    ```

    `mesh.run()` serves until Ctrl-C instead. `async with AgentMesh.local() as mesh:` starts a server for the block.
    The object can be entered again, also in another event loop.
    """

    local = LocalMesh()
    """`async with AgentMesh.local() as mesh:` starts a private server that ends with the block, and connects to it.

    `mesh.local()` does the same for an object, with the agents that it has.
    """

    def __init__(
        self,
        url: str = "nats://localhost:4222",
        *,
        creds: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        tls_ca: str | None = None,
    ) -> None:
        self._url: str | None = url
        self._options: dict[str, Any] = {
            "creds": creds,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "tls_ca": tls_ca,
        }
        self._agents: dict[str, LocalAgent] = {}
        self._pending: dict[str, LocalAgent] = {}
        self._callbacks: set[asyncio.Task[None]] = set()
        self._core: Mesh | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entry_lock = asyncio.Lock()
        self._flush_lock = asyncio.Lock()
        self._is_local = False
        self._entries = 0
        self._kv = SharedValues(self)
        self._workspace = SharedFiles(self)
        self._observe = Observer(self)
        self._sync: SyncMesh | None = None

    @classmethod
    def from_env(cls) -> AgentMesh:
        """The mesh that the environment names: `OAM_URL`, else the context `OAM_CONTEXT`, else the file `.oam-url` of
        this directory or a parent of it, else the context that `oam context use` has selected, else
        `nats://localhost:4222`; with the credentials of `OAM_CREDS`, of the context or of that file."""
        mesh = cls()
        mesh._url = None
        return mesh

    @classmethod
    def from_context(cls, name: str, *, creds: str | None = None) -> AgentMesh:
        """The mesh that `oam context add` has stored as `name`, with its credentials; `creds` goes before them."""
        mesh = cls(creds=creds)
        mesh._url = None
        mesh._options["context"] = name
        return mesh

    # The state

    @property
    def url(self) -> str:
        """The server's URL: that of the connection, else that of the constructor."""
        if self._core is not None:
            return self._core.url
        return self._url if self._url is not None else _core.DEFAULT_URL

    @property
    def instance_id(self) -> str:
        """The id of this process on the mesh. Each connection has a new one.

        Raises `RuntimeError` outside of `async with mesh:`.
        """
        return self._connected().instance_id

    @property
    def kv(self) -> SharedValues:
        """The shared values."""
        return self._kv

    @property
    def workspace(self) -> SharedFiles:
        """The shared files."""
        return self._workspace

    @property
    def observe(self) -> Observer:
        """Log events and death notices."""
        return self._observe

    @property
    def sync(self) -> SyncMesh:
        """The verbs as blocking functions, for scripts, notebooks and synchronous handlers.

        ```python
        with AgentMesh().sync as mesh:
            print(mesh.call("echo", "hi"))
        ```
        """
        if self._sync is None:
            from .sync import SyncMesh

            self._sync = SyncMesh(self)
        return self._sync

    def __repr__(self) -> str:
        mode = "local" if self._is_local else "remote"
        status = "connected" if self._core is not None else "disconnected"
        return f"<AgentMesh url={self.url} mode={mode} status={status} agents={len(self._agents)}>"

    # Entering and leaving

    async def __aenter__(self) -> AgentMesh:
        await self._enter(local=False)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._leave()

    def run(self) -> None:
        """Connects, serves the agents, and blocks until SIGINT (Ctrl-C) or SIGTERM; then finishes running requests.

        Prints one line to stderr when the agents are served.

        A second signal ends at once. Raises `ConnectionFailed` if there is no server, and `RuntimeError` if an event
        loop runs in this thread.
        """
        run(self)

    def _served(self) -> str:
        """The agents of this mesh object, for a line of text."""
        names = list(self._agents)
        if len(names) > 3:
            return f"{len(names)} agents"
        return ", ".join(names) or "no agents"

    async def _enter(self, *, local: bool) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop.is_closed():
            # That loop was closed without leaving the mesh.
            self._abort()
            self._disconnected()
            self._loop, self._entries = None, 0
        if self._loop is not loop:
            if self._loop is not None:
                raise RuntimeError(
                    "the mesh is connected in another event loop: leave it there, or create another AgentMesh"
                )
            self._loop, self._entry_lock, self._flush_lock = loop, asyncio.Lock(), asyncio.Lock()
        self._entries += 1
        try:
            # Another task may be entering, too.
            async with self._entry_lock:
                if self._core is None:
                    await self._connect(local=local)
        except BaseException:
            await self._leave()
            raise

    async def _connect(self, *, local: bool) -> None:
        if local:
            core = await _core.connect(local=True)
        else:
            core = await _core.connect(url=self._url, **self._options)
        self._core, self._is_local = core, local
        self._pending = dict(self._agents)
        try:
            await self._flush()
        except BaseException:
            self._core = None
            core.abort()
            raise

    async def _leave(self) -> None:
        self._entries -= 1
        try:
            # A task that enters during the shutdown waits, and connects again.
            async with self._entry_lock:
                core = self._core
                if self._entries > 0 or core is None:
                    return
                try:
                    await core.shutdown()
                except BaseException:
                    core.abort()
                    raise
                finally:
                    self._disconnected()
        finally:
            if self._entries == 0:
                self._disconnected()
                self._loop = None

    def _abort(self) -> None:
        """Ends the connection without waiting for requests."""
        if self._core is not None:
            self._core.abort()

    def _disconnected(self) -> None:
        self._core = None
        self._is_local = False
        self._pending = {}

    def _connected(self) -> Mesh:
        if self._core is None:
            raise NotConnectedError("Not connected. Use 'async with mesh:' first.")
        return self._core

    async def _flush(self) -> None:
        """Serves the agents that were decorated since the last flush."""
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            flushed = asyncio.run_coroutine_threadsafe(self._flush(), self._loop)
            await asyncio.wrap_future(flushed)
            return
        async with self._flush_lock:
            while self._pending:
                core = self._connected()
                batch = dict(self._pending)
                replaced = [name for name in batch if name in core.agents]
                if replaced:
                    await core.deregister(replaced)
                await core.register([agent.core_agent() for agent in batch.values()])
                for name, agent in batch.items():
                    if self._pending.get(name) is agent:
                        del self._pending[name]

    # Agents

    @overload
    def agent(
        self,
        spec: AgentSpec | None = None,
        *,
        sources: Sequence[Any] | None = None,
        active_when: Condition | None = None,
        mcp: bool | None = None,
        name: str | None = None,
        description: str | None = None,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        version: str | None = None,
        concurrency: int | None = None,
        queue: int | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> Callable[[FunctionT], FunctionT]: ...
    @overload
    def agent(self, spec: FunctionT) -> FunctionT: ...

    def agent(
        self,
        spec: Any = None,
        *,
        sources: Sequence[Any] | None = None,
        active_when: Condition | None = None,
        mcp: bool | None = None,
        name: str | None = None,
        description: str | None = None,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        version: str | None = None,
        concurrency: int | None = None,
        queue: int | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> Any:
        """Makes a function an agent, which is served when the mesh is entered, or with its next operation.

        The shape follows from the function:

        | function | agent | verb |
        |---|---|---|
        | `async def f(input: In) -> Out` | responder | `call`, `send` |
        | `async def f(input: In) -> Chunk`, with `yield` | streamer | `stream` |
        | `async def f() -> Out` | trigger | `call`, `send` |
        | `async def f() -> Event`, with `yield` | publisher | `subscribe` |
        | `async def f()` | watcher | |

        Types are any that pydantic adapts. A plain `def` runs in a thread. Requests run concurrently.

        `spec` is the description of the agent. Without it, `name` is the function's name, after `channel` and a dot,
        and `description` the first paragraph of its docstring. `mcp` says whether the agent is exported to MCP.
        `concurrency` is the number of requests that run at once, `queue` of those that wait for it; others are answered
        `overloaded`. `timeout` limits each run, in seconds. An `idempotent` agent may get the same request twice.

        Raises `TypeError` for a function that cannot be an agent, and `ValueError` for an invalid name.

        ```python
        @mesh.agent(AgentSpec(name="echo", description="Echoes a message back."))
        async def echo(message: str) -> str:
            return message

        @mesh.agent
        def double(number: int) -> int:
            \"\"\"Doubles a number.\"\"\"
            return 2 * number
        ```
        """
        from .models import AgentSpec
        from .shapes import caller_names

        if sources:
            not_available("agent(sources=…)", _SOURCE_REMEDY)
        if active_when is not None:
            not_available("agent(active_when=…)", _GATE_REMEDY)
        options = {
            "mcp": mcp,
            "concurrency": concurrency,
            "queue": queue,
            "timeout": timeout,
            "idempotent": idempotent,
        }
        described = {
            "name": name,
            "description": description,
            "channel": channel,
            "tags": tags,
            "version": version,
        }

        def decorate(function: FunctionT, depth: int = 1) -> FunctionT:
            self._add(_spec(spec, described, function), function, options, caller_names(depth))
            return function

        if spec is None or isinstance(spec, AgentSpec):
            return decorate
        if callable(spec) and not isinstance(spec, type):
            function, spec = spec, None
            return decorate(function, 2)
        raise TypeError(
            f"invalid spec of type {type(spec).__name__}: use @mesh.agent(AgentSpec(name=…, description=…)) or @mesh.agent"
        )

    def _add(
        self,
        spec: AgentSpec,
        function: Callable[..., Any],
        options: dict[str, Any],
        names: dict[str, Any],
    ) -> None:
        from .agents import LocalAgent
        from .shapes import inspect_function

        agent = LocalAgent(spec, inspect_function(function, spec.name, names), options)
        self._agents[spec.name] = agent
        if self._core is not None:
            self._pending[spec.name] = agent

    async def tools(
        self,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> Toolset:
        """The invocable agents of a channel, with all of `tags`, or with these `names`, as tools for language models.

        The result is a list of callables with names, descriptions and JSON Schemas, which frameworks take as tools. It
        is a snapshot of the catalog.

        ```python
        tools = await mesh.tools(channel="text")
        completion = client.chat.completions.create(tools=tools.to_openai(), ...)
        result = await tools.call("text_count", '{"text": "to be"}')
        ```
        """
        from .tools import load_tools

        return await load_tools(self, channel, tags, names)

    # Not available yet

    def subject_source(self, subject: str, **options: Any) -> SubjectSource:
        """A source of agents. Not available yet: raises `NotImplementedError`."""
        not_available("subject_source()", _SOURCE_REMEDY)

    def kv_source(self, pattern: str, **options: Any) -> KVSource:
        """A source of agents. Not available yet: raises `NotImplementedError`."""
        not_available("kv_source()", _SOURCE_REMEDY)

    def kv_condition(
        self, key: str, predicate: Callable[[bytes | None], bool], **options: Any
    ) -> KVCondition:
        """A gate of agents. Not available yet: raises `NotImplementedError`."""
        not_available("kv_condition()", _GATE_REMEDY)

    def subject_condition(
        self, subject: str, predicate: Callable[[bytes], bool], **options: Any
    ) -> SubjectCondition:
        """A gate of agents. Not available yet: raises `NotImplementedError`."""
        not_available("subject_condition()", _GATE_REMEDY)

    async def serve_mcp(self, *arguments: Any, **options: Any) -> NoReturn:
        """Exports agents to MCP. Not available yet: raises `NotImplementedError`."""
        not_available("serve_mcp()", _MCP_REMEDY)

    def run_mcp(self, *arguments: Any, **options: Any) -> NoReturn:
        """Exports agents to MCP. Not available yet: raises `NotImplementedError`."""
        not_available("run_mcp()", _MCP_REMEDY)


def _spec(
    spec: AgentSpec | None, described: dict[str, Any], function: Callable[..., Any]
) -> AgentSpec:
    """The spec of an agent: the given one with the arguments of the decorator, or one from the function."""
    given = {name: value for name, value in described.items() if value is not None}
    channel = given.pop("channel", None)
    if spec is not None:
        if channel or given:
            named = ", ".join(["channel"] * bool(channel) + list(given))
            raise TypeError(
                f"{named} and a spec are mutually exclusive: write the fields into the AgentSpec"
            )
        return spec
    name = given.pop("name", None) or getattr(function, "__name__", None)
    if name is None:
        raise TypeError(f"the name of agent {function!r} is missing: pass name=… or an AgentSpec")
    description = given.pop("description", None) or _first_paragraph(function)
    if not description:
        raise TypeError(
            f"the description of agent '{name}' is missing: write a docstring, pass description=… or an AgentSpec"
        )
    if "tags" in given:
        given["tags"] = list(given["tags"])
    from .models import AgentSpec

    full_name = f"{channel}.{name}" if channel else name
    return AgentSpec(name=full_name, description=description, **given)


def _first_paragraph(function: Callable[..., Any]) -> str:
    document = inspect.getdoc(function) or ""
    return " ".join(document.split("\n\n")[0].split())
