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

import nats
from openagentmesh import AgentMesh, MeshError
from pydantic import TypeAdapter

import agents

CATALOG_BUCKET = "mesh-catalog"
CATALOG_KEY = "catalog"


class Peer:
    """The commands."""

    def __init__(self):
        self.mesh = None
        self.connected = False
        self.url = None

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

    async def stream_unchecked(self, name, payload=None):
        """Streams without asking the catalog first, so that the host itself answers."""
        for check in ("_check_capability", "_check_stream"):
            if hasattr(self.mesh, check):
                setattr(self.mesh, check, lambda *_: None)
        return await self.stream(name, payload)

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

    async def send_reply_to(self, name, payload=None):
        """Sends with a reply subject and gives the message that arrives there."""
        subject = f"interop.replies.{uuid.uuid4().hex}"
        async with await nats.connect(self.url) as connection:
            replies = await connection.subscribe(subject)
            await connection.flush()
            await self.mesh.send(name, payload, reply_to=subject)
            message = await replies.next_msg(timeout=20.0)
        return {"headers": dict(message.headers), "body": json.loads(message.data)}

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
