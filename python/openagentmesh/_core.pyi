"""The Rust half of the package: the mesh's verbs on bytes, and the bridge to asyncio.

Bodies, chunks, events and schemas cross the border as JSON in `bytes` or `str`. Durations are seconds.

A method that is documented to return a `Future` must be called while an asyncio loop runs, and returns an
`asyncio.Future` of that loop. Cancelling the future aborts the operation, which cancels the request at the host.
Callables that are passed in are called on the loop that ran when they were passed.

Errors of the mesh are made by the function given to `set_error_factory`. Errors of use (a wrong type, a fork, no
running loop) are `TypeError`, `ValueError` or `RuntimeError`.
"""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

__version__: Final[str]
"""The version of the crate, which is that of the distribution."""

DEFAULT_URL: Final[str]
"""The server's URL if neither an argument nor the environment names one."""

_Headers: TypeAlias = Mapping[str, str] | None
_Shape: TypeAlias = Literal["responder", "streamer", "trigger", "publisher", "watcher"]
_ErrorFactory: TypeAlias = Callable[
    [str, str, str | None, str | None, bytes], BaseException
]

def set_error_factory(factory: _ErrorFactory) -> None:
    """Sets the function that makes every error of the mesh.

    It is called with the code, the message, the agent or `None`, the request id or `None`, and the details as a
    JSON object. Without it, errors are `RuntimeError("code: message")`.
    """

def run_cli(arguments: Sequence[str]) -> int:
    """Runs the command line `oam` with `arguments`, of which the first is the program's name.

    Returns the exit code. Ctrl-C ends the process, as in the binary. The call blocks and releases the GIL.
    """

def check_name(name: str) -> None:
    """Checks an agent name. Raises the mesh's `invalid_input`, whose message names the invalid part."""

def retryable(code: str) -> bool:
    """Whether the same request may succeed when it is sent again after an error with `code`."""

def tool_definition(
    contract: bytes,
    kind: Literal["neutral", "anthropic", "openai_chat", "openai_responses"],
    strict: bool = False,
) -> bytes:
    """The contract (JSON) as a tool definition of a model provider (JSON).

    `strict` is for the two OpenAI kinds. Raises `invalid_input` when the contract is not one or has no such form.
    """

def tool_payload(contract: bytes, arguments: bytes) -> bytes:
    """The payload of a call (JSON) from the arguments of a model's tool call: unwraps `input`, drops the nulls of strict
    forms. Raises `invalid_input` when the arguments are not JSON."""

def tool_names(names: Sequence[str]) -> list[str]:
    """A tool name for each agent name, all different, of at most 64 characters that providers allow."""

def agent_card(contract: bytes, url: str | None = None) -> bytes:
    """The contract (JSON) as an A2A agent card (JSON)."""

def bridge_stats() -> dict[str, int]:
    """Counters of this process for tests: `pending` operations, `queues` (loops), `wakeups`, `items` delivered,
    `requests` whose handlers run."""

def connect(
    *,
    url: str | None = None,
    context: str | None = None,
    local: bool = False,
    creds: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    tls_ca: str | None = None,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    name: str | None = None,
    inbox_prefix: str | None = None,
    request_timeout: float | None = None,
    shutdown_grace: float | None = None,
    lease: float | None = None,
    replicas: int | None = None,
) -> Future[Mesh]:
    """Connects to the mesh at `url` or of the stored `context`; without both, to the one that the environment names
    (`OAM_URL`, `OAM_CONTEXT`, `.oam-url`, the selected context).

    With `local`, starts a private nats-server and connects to it; it stops with the mesh. `~` in paths is the home
    directory. `tls_cert` and `tls_key` go together, as `user` and `password` do.

    Fails with `connection_failed`, `connection_denied` or `configuration`.
    """

class Client:
    """The verbs. A `Mesh`, or the client of a request, whose operations end with the request's deadline."""

    @property
    def url(self) -> str:
        """The server's URL without a login."""

    @property
    def instance_id(self) -> str:
        """The id of this process on the mesh."""

    @property
    def connection_state(self) -> Literal["connected", "reconnecting", "closed"]:
        """The state of the connection."""

    def call(
        self,
        name: str,
        body: bytes | None = None,
        timeout: float | None = None,
        headers: _Headers = None,
    ) -> Future[bytes]:
        """Calls an agent. `body` is JSON, `None` for no input. The default timeout is 30 s. The result is JSON."""

    def stream(
        self,
        name: str,
        body: bytes | None = None,
        timeout: float | None = None,
        headers: _Headers = None,
        chunk_timeout: float | None = None,
        window: int | None = None,
    ) -> Future[Chunks]:
        """Requests a stream. `timeout` bounds the whole stream (none by default), `chunk_timeout` the wait for each
        chunk (60 s by default)."""

    def send(
        self,
        name: str,
        body: bytes | None = None,
        timeout: float | None = None,
        headers: _Headers = None,
        reply_to: str | None = None,
        on_reply: Callable[[bytes], object] | None = None,
        on_error: Callable[[BaseException], object] | None = None,
    ) -> Future[None]:
        """Sends a request without waiting for its reply. The future resolves when the request is sent.

        One of the callbacks is called later, once: `on_reply` with the reply (JSON), `on_error` with the mesh's
        error, including `timeout` (60 s by default) and `not_found`.
        """

    def publish(
        self,
        subject: str,
        body: bytes,
        kind: Literal["json", "text", "bytes"] = "json",
        headers: _Headers = None,
        timeout: float | None = None,
    ) -> Future[None]:
        """Publishes an event. The future resolves when the connection has accepted it."""

    def subscribe(
        self,
        *,
        agent: str | None = None,
        channel: str | None = None,
        subject: str | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Future[Events]:
        """Subscribes to the events of an agent, of a channel's agents, or of a subject (wildcards allowed).

        Exactly one selector; else `ValueError`. `timeout` bounds the silence between two events. The future resolves
        when the server has the subscription. Without `check`, an agent need not be listed yet: for one that is
        registered afterwards.
        """

    def catalog(
        self,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        streaming: bool | None = None,
        invocable: bool | None = None,
        fresh: bool = False,
    ) -> Future[bytes]:
        """The catalog's entries as a JSON array. `fresh` reads the server instead of the cache."""

    def discover(
        self,
        channel: str | None = None,
        tags: Sequence[str] | None = None,
        streaming: bool | None = None,
        invocable: bool | None = None,
    ) -> Future[bytes]:
        """The contracts of the selected agents as a JSON array."""

    def contract(self, name: str) -> Future[bytes]:
        """The contract of an agent as JSON, as the registry has it. `not_found` if there is none."""

    def wait_for(self, name: str, timeout: float | None = None) -> Future[bytes]:
        """Waits until the catalog lists the agent, and returns its entry as JSON."""

    @property
    def kv(self) -> Kv:
        """The shared values."""

    @property
    def workspace(self) -> Workspace:
        """The shared files."""

class Mesh(Client):
    """A connection, and the agents that this process serves on it."""

    @property
    def agents(self) -> list[str]:
        """The names of the agents that `register` has served and `deregister` has not ended."""

    def register(self, agents: Sequence[Agent]) -> Future[None]:
        """Serves the agents and lists them: all or none. Their `start` is called on the running loop."""

    def deregister(self, names: Sequence[str]) -> Future[None]:
        """Finishes the accepted requests of the agents and removes the agents from the catalog."""

    def shutdown(self) -> Future[None]:
        """Leaves in order: no more requests, `shutdown_grace` for those that run, catalog, connection, local server.

        A second call does nothing.
        """

    def abort(self) -> None:
        """Ends at once, without the loop: requests are cancelled, a local server is stopped. A `shutdown` that waits
        ends, too."""

class Agent:
    """An agent: its spec, its shape, its schemas, and the function that starts a request."""

    def __init__(
        self,
        name: str,
        description: str,
        shape: _Shape,
        start: Callable[[Request], object],
        *,
        version: str = "0.1.0",
        tags: Sequence[str] = (),
        channel: str | None = None,
        input_schema: str | None = None,
        output_schema: str | None = None,
        chunk_schema: str | None = None,
        concurrency: int | None = None,
        queue: int | None = None,
        timeout: float | None = None,
        idempotent: bool = False,
        mcp: bool | None = None,
    ) -> None:
        """`start(request)` is called on the loop for each request, and for a publisher or watcher once when it is
        registered and again after a failure. It must return quickly (create a task), and must see to it that
        `request.finish` or `request.fail` is called. An exception of `start` fails the request as `handler_error`.

        The core checks that a body is JSON; `start` validates it against the schema and fails with `invalid_input`.
        """

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> _Shape: ...
    def contract(self) -> bytes:
        """The contract as JSON, as `register` writes it, except for `registered_at`."""

class Request:
    """A request to an agent of this process. Methods may be called from any thread."""

    @property
    def body(self) -> bytes:
        """The input as JSON; `b"null"` if the request has no body, `b""` if the shape has no input."""

    @property
    def agent(self) -> str:
        """The name of the agent."""

    @property
    def request_id(self) -> str:
        """The id of the request."""

    @property
    def caller(self) -> str | None:
        """The instance id of the caller, if the request names it."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers, those of the protocol included."""

    def header(self, name: str) -> str | None:
        """The value of a header; case does not matter."""

    @property
    def time_left(self) -> float | None:
        """The seconds until the deadline; `None` without one."""

    @property
    def client(self) -> Client:
        """The verbs, for calls on behalf of this request: they end with its deadline."""

    def set_usage(self, usage: bytes) -> None:
        """Adds tokens and cost to the answer's: a JSON object with the fields of `Usage`. Several reports add up."""

    @property
    def cancelled(self) -> bool:
        """Whether the request was cancelled: its answer would go nowhere."""

    def on_cancel(self, callback: Callable[[], object] | None) -> None:
        """Sets the function that is called on the loop, once, when the request is cancelled before its end: the
        caller has left, the deadline has passed, or the host shuts down. Replaces an earlier one. If the request is
        cancelled already, the function is called soon."""

    def finish(self, body: bytes = b"") -> None:
        """Ends the request: with the output (JSON) for a responder or trigger, else after the last chunk. Without
        effect after the end."""

    def fail(
        self,
        code: str,
        message: str,
        details: bytes | None = None,
    ) -> None:
        """Ends the request with an error. `details` is a JSON object. Without effect after the end."""

    def send_chunk(self, chunk: bytes) -> Future[None] | None:
        """Sends a chunk (streamer) or an event (publisher), JSON.

        Returns `None` when there is room for the next one, else a future that resolves when there is; the chunk is
        accepted in both cases. The future must be awaited before the next chunk. Threads use `send_chunk_blocking`. Without effect after the end.
        """

    def send_chunk_blocking(self, chunk: bytes) -> bool:
        """As `send_chunk`, for a thread: blocks until there is room (the GIL is released). `False` when the request
        has ended or was cancelled."""

class Chunks:
    """A streamed reply. Dropping it cancels the request at the host."""

    def next_batch(self, max: int = 256) -> list[bytes] | Future[list[bytes]]:
        """The next chunks (JSON), at least one and at most `max`; an empty list at the end of the stream.

        Chunks that have arrived are returned at once as a list; otherwise a future of a list. Raises (or the future
        fails with) the error that ends the stream, after the chunks before it. One batch at a time.
        """

    def close(self) -> None:
        """Cancels the request, if it has not ended."""

class Event:
    """A published event."""

    @property
    def data(self) -> bytes:
        """The payload, unchanged."""

    @property
    def content_type(self) -> Literal["json", "text", "bytes"]:
        """What the payload is; JSON unless the event says otherwise."""

    @property
    def subject(self) -> str: ...
    @property
    def agent(self) -> str | None:
        """The publishing agent, if the subject is that of an agent's events."""

    @property
    def reply_to(self) -> str | None: ...
    @property
    def headers(self) -> dict[str, str]: ...

class Events:
    """A subscription. Dropping it unsubscribes."""

    def next_batch(
        self, max: int = 256
    ) -> list[Event | BaseException] | Future[list[Event | BaseException]]:
        """The next events, at least one and at most `max`; an empty list when the events have ended.

        Events that have arrived are returned at once as a list; otherwise a future of a list. An error that does not
        end the events (`chunk_sequence_error` for lost ones, the error of a publisher) is an item; so is `timeout`,
        after which the events end. One batch at a time.
        """

    def close(self) -> None:
        """Unsubscribes."""

class Kv:
    """The shared values of a mesh. Values are bytes."""

    def get(self, key: str) -> Future[tuple[bytes, int] | None]:
        """The value and its revision; `None` if there is none."""

    def put(self, key: str, value: bytes) -> Future[int]:
        """Writes a value and returns its revision."""

    def create(self, key: str, value: bytes) -> Future[int]:
        """Writes a value if the key has none; else `kv_key_exists`."""

    def update(self, key: str, value: bytes, revision: int) -> Future[int]:
        """Writes a value if `revision` is the current one (0: no value yet); else `kv_wrong_revision`."""

    def delete(self, key: str) -> Future[None]:
        """Removes a value; a missing one is no error."""

    def keys(self, pattern: str = ">") -> Future[list[str]]:
        """The keys that match `pattern` (`*` one segment, `>` the rest)."""

    def list(self, pattern: str = ">") -> Future[list[tuple[str, bytes, int]]]:
        """Key, value and revision of what matches."""

    def watch(self, pattern: str = ">", updates_only: bool = False) -> Future[KvChanges]:
        """Follows values: those that exist first, then each change."""

class KvChanges:
    """The changes of a watch. Dropping it ends the watch."""

    def next_batch(
        self, max: int = 256
    ) -> (
        list[tuple[str, bytes | None, int] | BaseException]
        | Future[list[tuple[str, bytes | None, int] | BaseException]]
    ):
        """Key, value (`None`: removed) and revision of the next changes; as `Events.next_batch`."""

    def close(self) -> None:
        """Ends the watch."""

class Workspace:
    """The shared files of a mesh. An info is JSON: `name`, `size`, `digest`, `modified`, `metadata` …"""

    def put(
        self,
        name: str,
        content: bytes,
        content_type: str | None = None,
        description: str | None = None,
    ) -> Future[bytes]:
        """Stores a file and returns its info."""

    def get(self, name: str) -> Future[bytes]:
        """The content; `not_found` if there is none."""

    def put_file(
        self, name: str, path: str, content_type: str | None = None
    ) -> Future[bytes]:
        """Stores a local file in chunks and returns its info."""

    def get_file(self, name: str, path: str) -> Future[bytes]:
        """Writes the content to a local file, in one step at the end, and returns its info."""

    def info(self, name: str) -> Future[bytes | None]:
        """The info of a file; `None` if there is none."""

    def list(self, prefix: str = "") -> Future[bytes]:
        """The infos of the files whose names begin with `prefix`, as a JSON array."""

    def delete(self, name: str) -> Future[bool]:
        """Removes a file; whether there was one."""


def abort_operation(id: int) -> None:
    """Aborts the operation of a cancelled future; `Operation.cancel` calls it."""

def end_process() -> None:
    """Ends all meshes of the process at once, and keeps the threads of the program out of the Rust half; called when the
    interpreter exits."""
