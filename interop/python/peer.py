"""A process with the published SDK that runs the commands of its input.

Each input line is a command, `{"do": method of Peer, "with": {its arguments}}`, and is answered by
one output line: `{"ok": result}` or `{"raised": {...}}`. The process leaves the mesh and ends when
its input ends.
"""

import asyncio
import functools
import importlib.metadata
import json
import sys
import uuid
from pathlib import Path

import nats
from openagentmesh import AgentMesh, MeshError
from pydantic import TypeAdapter

import agents

CATALOG_BUCKET = "mesh-catalog"
CATALOG_KEY = "catalog"


class Consumer:
    """Reads an iterator of the SDK in a task."""

    def __init__(self, iterator):
        self.taken = asyncio.Queue()
        self.task = asyncio.create_task(self._run(iterator))

    async def _run(self, iterator):
        try:
            async for item in iterator:
                self.taken.put_nowait({"item": item})
        except Exception as error:
            self.taken.put_nowait({"raised": describe(error)})
        else:
            self.taken.put_nowait({"ended": True})

    async def take(self, count):
        """The next `count` items, or fewer and the end; without a count all items to the end."""
        items = []
        while count is None or len(items) < count:
            next = await self.taken.get()
            if "item" not in next:
                return {"items": items, **next}
            items.append(next["item"])
        return {"items": items}


class Peer:
    """The commands."""

    def __init__(self):
        self.mesh = None
        self.connected = False
        self.url = None
        self.consumers = {}

    async def version(self):
        return importlib.metadata.version("openagentmesh")

    async def exit(self, reason):
        sys.exit(reason)

    # Joining and leaving

    async def prepare(self, url):
        """Creates a mesh, so that agents can be added before it connects."""
        self.url = url
        self.mesh = AgentMesh(url)

    async def connect(self, url=None, creds=None):
        if creds is not None:
            # The SDK passes no credentials to the client.
            nats.connect = functools.partial(nats.connect, user_credentials=creds)
        if self.mesh is None:
            await self.prepare(url)
        await self.mesh.__aenter__()
        self.connected = True

    async def leave(self):
        if self.connected:
            self.connected = False
            await self.mesh.__aexit__(None, None, None)

    # Serving

    async def host(self, names):
        """Serves agents of the gallery."""
        for name in names:
            agents.add(self.mesh, name)
        await self._register()

    async def host_many(self, names):
        """Serves agents that return their names."""
        for name in names:
            agents.add_named(self.mesh, name)
        await self._register()

    async def _register(self):
        # The SDK registers new agents with its next operation on the mesh.
        if self.connected:
            await self.mesh.catalog()

    # Finding

    async def catalog(self, **filters):
        entries = await self.mesh.catalog(**filters)
        return [entry.model_dump(mode="json") for entry in entries]

    async def contract(self, name):
        return (await self.mesh.contract(name)).model_dump(mode="json")

    async def discover(self):
        return [contract.name for contract in await self.mesh.discover()]

    async def schema(self, type):
        """The schema of the SDK for a type in `agents.py`."""
        return TypeAdapter(getattr(agents, type)).json_schema()

    async def tools(self, name):
        """The tool definitions of an own agent."""
        contract = await self.mesh.contract(agents.own_name(name))
        return {
            "neutral": contract.to_tool_schema(),
            "anthropic": contract.to_anthropic_tool(),
            "chat": contract.to_openai_tool(api="chat"),
            "chat_strict": contract.to_openai_tool(api="chat", strict=True),
            "responses": contract.to_openai_tool(api="responses"),
            "responses_strict": contract.to_openai_tool(api="responses", strict=True),
        }

    # Calling

    async def call(self, name, payload=None):
        return await self.mesh.call(name, payload, timeout=20.0)

    async def call_all(self, names):
        """Calls many agents at once and returns their replies by name."""
        replies = await asyncio.gather(*(self.call(name) for name in names))
        return dict(zip(names, replies))

    async def stream(self, name, payload=None):
        return [chunk async for chunk in self.mesh.stream(name, payload, timeout=20.0)]

    async def skip_checks(self):
        """Disables the checks of the caller, so that the host answers every verb."""
        for check in ("capability", "call", "stream", "send", "subscribe"):
            if hasattr(self.mesh, f"_check_{check}"):
                setattr(self.mesh, f"_check_{check}", lambda *_: None)

    # Receiving

    async def open_stream(self, key, name, payload=None):
        """Streams in a task; `take` returns the chunks."""
        self.consumers[key] = Consumer(self.mesh.stream(name, payload, timeout=60.0))

    async def open_events(self, key, **source):
        """Subscribes in a task. The subscription is active when this returns."""
        connection = self.mesh._nc
        subscribe = connection.subscribe
        subscribed = asyncio.Event()

        async def subscribe_and_signal(*args, **kwargs):
            connection.subscribe = subscribe
            subscription = await subscribe(*args, **kwargs)
            await synchronize(connection)
            subscribed.set()
            return subscription

        connection.subscribe = subscribe_and_signal
        consumer = self.consumers[key] = Consumer(self.mesh.subscribe(**source))
        waiting = asyncio.create_task(subscribed.wait())
        await asyncio.wait({waiting, consumer.task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        connection.subscribe = subscribe

    async def take(self, key, count=None):
        return await self.consumers[key].take(count)

    async def break_stream(self, name, count, payload=None):
        """Streams, and breaks the loop after `count` chunks."""
        chunks = []
        async for chunk in self.mesh.stream(name, payload, timeout=60.0):
            chunks.append(chunk)
            if len(chunks) == count:
                break
        return chunks

    # Sending

    async def publish(self, subject, text, content_type=None):
        """Publishes with the NATS client: the published SDKs have no verb for it."""
        headers = {"X-Mesh-Content-Type": content_type} if content_type else None
        await self.mesh._nc.publish(subject, text.encode(), headers=headers)
        await synchronize(self.mesh._nc)

    async def emit(self, name, texts):
        """Publishes by a publisher of the gallery. The server has all events when this returns."""
        await agents.emit(name, texts)
        await synchronize(self.mesh._nc)

    async def finish(self, name, error=None):
        """Ends a publisher of the gallery, or makes it fail."""
        agents.finish(name, error)

    async def noted(self, count):
        """Waits for `count` inputs of the agents of the gallery and returns them."""
        return await agents.noted(count)

    async def send_forget(self, name, payload=None):
        await self.mesh.send(name, payload)

    async def send_on_reply(self, name, payload=None):
        """Sends with callbacks and returns the argument of the first call."""
        called = asyncio.get_running_loop().create_future()

        async def on_reply(reply):
            called.set_result({"reply": reply})

        async def on_error(error):
            called.set_result({"error": describe(error)})

        await self.mesh.send(name, payload, on_reply=on_reply, on_error=on_error, timeout=20.0)
        return await called

    async def send_many_on_reply(self, name, payloads):
        """Sends all at once and returns the arguments of the callbacks, in the same order."""
        return await asyncio.gather(*(self.send_on_reply(name, payload) for payload in payloads))

    async def send_reply_to(self, name, payload=None):
        """Sends with a reply subject and returns the message that arrives there."""
        subject = f"interop.replies.{uuid.uuid4().hex}"
        async with await nats.connect(self.url) as connection:
            replies = await connection.subscribe(subject)
            await synchronize(connection)
            await self.mesh.send(name, payload, reply_to=subject)
            message = await replies.next_msg(timeout=20.0)
        return {"headers": dict(message.headers), "body": json.loads(message.data)}

    async def send_to(self, name, subject, payload=None):
        """Sends with a reply subject, and does not wait for the reply."""
        await self.mesh.send(name, payload, reply_to=subject)
        await synchronize(self.mesh._nc)

    async def ask_in_every_way(self, name, payload):
        """Sends concurrently by every verb with a reply, and returns the replies by verb."""
        ways = ("call", "send_on_reply", "send_reply_to")
        replies = await asyncio.gather(*(getattr(self, way)(name, payload) for way in ways))
        return dict(zip(ways, replies))

    # Sharing values

    async def kv_put(self, key, text):
        await self.mesh.kv.put(key, text)

    async def kv_put_bytes(self, key, hex):
        await self.mesh.kv.put(key, bytes.fromhex(hex))

    async def kv_get(self, key):
        return await self.mesh.kv.get(key)

    async def kv_get_bytes(self, key):
        """The stored bytes: the SDK itself returns only text."""
        return (await self.mesh.kv._kv.get(key)).value.hex()

    async def kv_delete(self, key):
        await self.mesh.kv.delete(key)

    async def kv_keys(self):
        return sorted(await self.mesh.kv._kv.keys())

    async def kv_count(self, key, times):
        """Increments a counter `times` times."""
        for _ in range(times):
            while True:
                try:
                    await self.mesh.kv.update(key, lambda count: str(int(count) + 1))
                    break
                except RuntimeError:
                    # The SDK raises this after ten lost races.
                    continue

    async def open_values(self, key, of):
        """Watches key `of` in a task; `take` returns the values. The first one is the current value,
        which shows that the watch is active."""
        self.consumers[key] = Consumer(self.mesh.kv.watch(of))

    # Sharing files; the test and the peer exchange content at a path

    async def file_put(self, name, path):
        await self.mesh.workspace.put(name, Path(path).read_bytes())

    async def file_put_text(self, name, text):
        await self.mesh.workspace.put(name, text)

    async def file_get(self, name, path):
        Path(path).write_bytes(await self.mesh.workspace.get(name))

    async def file_delete(self, name):
        await self.mesh.workspace.delete(name)

    async def file_info(self, name):
        """The metadata from the NATS client: the SDK itself returns none."""
        return (await self.mesh.workspace._store.get_info(name)).as_dict()

    # The catalog's text, as another SDK would write it

    async def write_entry(self, text, url):
        """Adds the text of an entry to the catalog by compare-and-swap."""
        async with await nats.connect(url) as connection:
            store = await connection.jetstream().key_value(CATALOG_BUCKET)
            current = await store.get(CATALOG_KEY)
            entries = current.value.decode().strip().removesuffix("]")
            comma = "" if entries == "[" else ","
            text = f"{entries}{comma}{text}]"
            await store.update(CATALOG_KEY, text.encode(), last=current.revision)


async def synchronize(connection):
    """Returns when the server has processed the earlier messages of the connection."""
    # The PING of a flush precedes pending messages; the second PING follows them.
    await connection.flush()
    await connection.flush()


def describe(error):
    described = {"class": type(error).__name__, "message": str(error)}
    if isinstance(error, MeshError):
        for field in ("code", "agent", "request_id", "details"):
            described[field] = getattr(error, field)
    return described


async def main():
    peer = Peer()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = {"ok": await getattr(peer, command["do"])(**command["with"])}
        except Exception as error:
            answer = {"raised": describe(error)}
        print(json.dumps(answer), flush=True)
    await peer.leave()


asyncio.run(main())
