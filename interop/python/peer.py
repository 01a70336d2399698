"""A process on a mesh, through the published SDK, that does what its input tells it.

Each input line is a command, `{"do": method of Peer, "with": {its arguments}}`, and is answered by
one output line: `{"ok": result}` or `{"raised": {...}}`. The process leaves the mesh and ends when
its input ends.
"""

import asyncio
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
    """Takes what one of the SDK's iterators gives, in a task of its own."""

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
        """The next `count` items, or fewer and how it ended; without a count all to the end."""
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

    # Coming and going

    async def prepare(self, url):
        """Makes a mesh to which agents can be added before it connects."""
        self.url = url
        self.mesh = AgentMesh(url)

    async def connect(self, url=None):
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
        """Serves agents that tell their names."""
        for name in names:
            agents.add_named(self.mesh, name)
        await self._register()

    async def _register(self):
        # The SDK registers what is new with the next thing that it does on the mesh.
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
        """The schema that the SDK would write for a type of ours."""
        return TypeAdapter(getattr(agents, type)).json_schema()

    async def tools(self, name):
        """What an own agent looks like to models."""
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
        """Calls many at once and gives their replies by name."""
        replies = await asyncio.gather(*(self.call(name) for name in names))
        return dict(zip(names, replies))

    async def stream(self, name, payload=None):
        return [chunk async for chunk in self.mesh.stream(name, payload, timeout=20.0)]

    async def skip_checks(self):
        """Lets every verb through without a look at the catalog, so that the host itself answers."""
        for check in ("capability", "call", "stream", "send", "subscribe"):
            if hasattr(self.mesh, f"_check_{check}"):
                setattr(self.mesh, f"_check_{check}", lambda *_: None)

    # Taking what comes

    async def open_stream(self, key, name, payload=None):
        """Streams on, while the peer does other things; `take` has the chunks."""
        self.consumers[key] = Consumer(self.mesh.stream(name, payload, timeout=60.0))

    async def open_events(self, key, **source):
        """The same for a subscription. The server knows of it once this returns."""
        connection = self.mesh._nc
        subscribe = connection.subscribe
        subscribed = asyncio.Event()

        async def subscribe_and_tell(*args, **kwargs):
            connection.subscribe = subscribe
            subscription = await subscribe(*args, **kwargs)
            await synchronize(connection)
            subscribed.set()
            return subscription

        connection.subscribe = subscribe_and_tell
        consumer = self.consumers[key] = Consumer(self.mesh.subscribe(**source))
        waiting = asyncio.create_task(subscribed.wait())
        await asyncio.wait({waiting, consumer.task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        connection.subscribe = subscribe

    async def take(self, key, count=None):
        return await self.consumers[key].take(count)

    async def break_stream(self, name, count, payload=None):
        """Streams, and leaves the loop after `count` chunks as any program would."""
        chunks = []
        async for chunk in self.mesh.stream(name, payload, timeout=60.0):
            chunks.append(chunk)
            if len(chunks) == count:
                break
        return chunks

    # Giving

    async def publish(self, subject, text, content_type=None):
        """Publishes as is: the published SDKs have no verb for it."""
        headers = {"X-Mesh-Content-Type": content_type} if content_type else None
        await self.mesh._nc.publish(subject, text.encode(), headers=headers)
        await synchronize(self.mesh._nc)

    async def emit(self, name, texts):
        """Has a publisher of the gallery publish. The server has all of it once this returns."""
        await agents.emit(name, texts)
        await synchronize(self.mesh._nc)

    async def finish(self, name, error=None):
        """Has a publisher of the gallery end, or fail."""
        agents.finish(name, error)

    async def noted(self, count):
        """What the agents of the gallery were given, once that is `count` inputs."""
        return await agents.noted(count)

    async def send_forget(self, name, payload=None):
        await self.mesh.send(name, payload)

    async def send_on_reply(self, name, payload=None):
        """Sends with callbacks and gives what the first of them was called with."""
        called = asyncio.get_running_loop().create_future()

        async def on_reply(reply):
            called.set_result({"reply": reply})

        async def on_error(error):
            called.set_result({"error": describe(error)})

        await self.mesh.send(name, payload, on_reply=on_reply, on_error=on_error, timeout=20.0)
        return await called

    async def send_many_on_reply(self, name, payloads):
        """Sends all at once, and gives what their callbacks were called with, in the same order."""
        return await asyncio.gather(*(self.send_on_reply(name, payload) for payload in payloads))

    async def send_reply_to(self, name, payload=None):
        """Sends with a reply subject and gives the message that arrives there."""
        subject = f"interop.replies.{uuid.uuid4().hex}"
        async with await nats.connect(self.url) as connection:
            replies = await connection.subscribe(subject)
            await synchronize(connection)
            await self.mesh.send(name, payload, reply_to=subject)
            message = await replies.next_msg(timeout=20.0)
        return {"headers": dict(message.headers), "body": json.loads(message.data)}

    async def ask_in_every_way(self, name, payload):
        """Asks at once in every way that waits for a reply, and gives what came by each."""
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
        """What is stored: the SDK itself gives only text."""
        return (await self.mesh.kv._kv.get(key)).value.hex()

    async def kv_delete(self, key):
        await self.mesh.kv.delete(key)

    async def kv_keys(self):
        return sorted(await self.mesh.kv._kv.keys())

    async def kv_count(self, key, times):
        """Adds one to a counter so many times."""
        for _ in range(times):
            while True:
                try:
                    await self.mesh.kv.update(key, lambda count: str(int(count) + 1))
                    break
                except RuntimeError:
                    # Its way to say that it lost ten races in a row.
                    continue

    async def open_values(self, key, of):
        """Takes the values of key `of` as they change; `take` has them. The first is the one that
        it has already, which tells that the watch has begun."""
        self.consumers[key] = Consumer(self.mesh.kv.watch(of))

    # Sharing files, whose content the test finds and leaves at a path

    async def file_put(self, name, path):
        await self.mesh.workspace.put(name, Path(path).read_bytes())

    async def file_put_text(self, name, text):
        await self.mesh.workspace.put(name, text)

    async def file_get(self, name, path):
        Path(path).write_bytes(await self.mesh.workspace.get(name))

    async def file_delete(self, name):
        await self.mesh.workspace.delete(name)

    async def file_info(self, name):
        """What the client under the SDK knows of it: the SDK itself tells nothing."""
        return (await self.mesh.workspace._store.get_info(name)).as_dict()

    # The catalog's text, as a peer of another kind would write it

    async def write_entry(self, text, url):
        """Adds an entry, as it is written, to the catalog by compare-and-swap."""
        async with await nats.connect(url) as connection:
            store = await connection.jetstream().key_value(CATALOG_BUCKET)
            current = await store.get(CATALOG_KEY)
            entries = current.value.decode().strip().removesuffix("]")
            comma = "" if entries == "[" else ","
            text = f"{entries}{comma}{text}]"
            await store.update(CATALOG_KEY, text.encode(), last=current.revision)


async def synchronize(connection):
    """Returns once the server has taken what the connection was given before."""
    # The PING of a flush goes ahead of what is not written yet; the second goes behind it.
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
