"""Hostile peers: no payload ends or blocks the interpreter."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from urllib.parse import urlsplit

import pytest
from bridge_support import MeshFailure, agent, core, echo, local_mesh, run


class Peer:
    """A peer that speaks the NATS protocol itself, so that it can send anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, url: str) -> Peer:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        await reader.readline()
        writer.write(b'CONNECT {"verbose": false, "headers": true}\r\nPING\r\n')
        while await reader.readline() != b"PONG\r\n":
            pass
        return cls(reader, writer)

    async def publish(self, subject: str, body: bytes, headers: bytes = b"", reply: str = "") -> None:
        if headers:
            head = b"NATS/1.0\r\n" + headers + b"\r\n"
            line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n"
            self.writer.write(line.encode() + head + body + b"\r\n")
        else:
            self.writer.write(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")
        await self.writer.drain()

    async def subscribe(self, subject: str) -> None:
        """Subscribes, and returns when the server knows it."""
        self.writer.write(f"SUB {subject} 1\r\nPING\r\n".encode())
        while await self.reader.readline() != b"PONG\r\n":
            pass

    async def answer(self, body: bytes, headers: bytes) -> None:
        """Answers each request with the same bytes."""
        while True:
            line = await self.reader.readline()
            if not line:
                return
            words = line.split()
            if words[0] == b"PING":
                self.writer.write(b"PONG\r\n")
            if words[0] not in (b"MSG", b"HMSG"):
                continue
            await self.reader.readexactly(int(words[-1]) + 2)
            reply = words[3].decode()
            await self.publish(reply, body, headers)

    def close(self) -> None:
        self.writer.close()


BODIES = [
    b"",
    b"\0",
    b"\xff\xfe\xfa",
    b'"\xff"',
    b'"\\ud800"',
    b"{",
    b"[" * 100_000,
    b'{"a":' * 10_000,
    b"NaN",
    b"-Infinity",
    b"1e999999",
    b"9" * 10_000,
    b"[" + b"1," * 200_000 + b"1]",
    b'"' + b"x" * 900_000 + b'"',
    b"\xef\xbb\xbf1",
    b"null null",
    b'{"__proto__": 1, "__class__": 2}',
]

HEADERS = [
    b"",
    b"X-Mesh-Stream: true\r\n",
    b"X-Mesh-Timeout: -1\r\nX-Mesh-Deadline: 99999999999999999999\r\n",
    b"X-Mesh-Status: error\r\n",
    b"traceparent: 00-zz-zz-01\r\n",
    b": nothing\r\n",
    b"A: " + b"x" * 60_000 + b"\r\n",
]

BROKEN_HEADERS = [b"X-Mesh-Request-Id: \xff\xff\r\n", b"A\tB: c\r\n"]
"""Headers that cost a NATS client its connection, and with it the messages of that moment."""


async def called(mesh: Any, name: str) -> bytes:
    """The reply of an agent, once the connection is back."""
    while True:
        try:
            return bytes(await mesh.call(name, b"1", timeout=1))
        except MeshFailure:
            await asyncio.sleep(0.05)


def test_hostile_requests_leave_the_host_at_work() -> None:
    async def main() -> None:
        async def handler(request: Any) -> None:
            # Every getter is a border that hostile text crosses.
            _ = (request.headers, request.caller, request.request_id, request.time_left, request.agent)
            request.finish(request.body)

        async with local_mesh(echo(), agent("touch", handler)) as mesh:
            peer = await Peer.connect(mesh.url)
            chance = random.Random(7)
            for body in BODIES:
                for headers in HEADERS:
                    for name in ("echo", "touch"):
                        await peer.publish(f"mesh.agent.{name}", body, headers, "answers")
            for _ in range(300):
                body = chance.randbytes(chance.randrange(200))
                await peer.publish("mesh.agent.touch", body, b"", "answers")
            for name in ("echo", "touch"):
                assert await mesh.call(name, b"1") == b"1"
            for headers in BROKEN_HEADERS:
                for name in ("echo", "touch"):
                    await peer.publish(f"mesh.agent.{name}", b"1", headers, "answers")
                    assert await called(mesh, name) == b"1"
            peer.close()

    run(main)


def test_hostile_replies_are_errors_or_values() -> None:
    async def main() -> None:
        async with local_mesh() as mesh:
            for body in BODIES:
                for headers in (b"X-Mesh-Status: ok\r\n", b"X-Mesh-Status: error\r\n", b""):
                    peer = await Peer.connect(mesh.url)
                    await peer.subscribe("mesh.agent.liar")
                    serving = asyncio.create_task(peer.answer(body, headers))
                    try:
                        reply = await mesh.call("liar", b"1", timeout=10)
                        assert isinstance(reply, bytes)
                    except MeshFailure as error:
                        assert error.code not in ("", "not_found")
                    serving.cancel()
                    peer.close()

    run(main)


def test_hostile_events_are_delivered_as_bytes() -> None:
    async def main() -> None:
        async with local_mesh() as mesh:
            events = await mesh.subscribe(subject="anything")
            peer = await Peer.connect(mesh.url)
            for body in BODIES:
                await peer.publish("anything", body, b"Content-Type: \xc3\xa9\r\n")
            await peer.publish("anything", b'"end"')
            seen: list[Any] = []
            while not (seen and getattr(seen[-1], "data", b"") == b'"end"'):
                batch = events.next_batch()
                seen += batch if isinstance(batch, list) else await batch
            for event in seen:
                if not isinstance(event, BaseException):
                    _ = (event.data, event.content_type, event.headers, event.agent, event.reply_to)
            peer.close()

    run(main)


def test_invalid_arguments_are_python_errors() -> None:
    async def main() -> None:
        async with local_mesh(echo()) as mesh:
            with pytest.raises(MeshFailure, match="invalid input"):
                await mesh.call("echo", b"NaN")
            with pytest.raises(TypeError):
                mesh.call("echo", "text")
            with pytest.raises(TypeError):
                mesh.call(7, b"1")
            with pytest.raises(ValueError, match="invalid timeout"):
                mesh.call("echo", b"1", timeout=-1)
            with pytest.raises(ValueError, match="invalid timeout"):
                mesh.call("echo", b"1", timeout=float("nan"))
            with pytest.raises(ValueError, match="mutually exclusive"):
                mesh.subscribe(agent="a", subject="b")
            with pytest.raises(ValueError, match="Provide"):
                mesh.subscribe()
            with pytest.raises(ValueError, match="invalid kind"):
                mesh.publish("a", b"1", "xml")
            with pytest.raises(ValueError, match="invalid shape"):
                core.Agent("a", "b", "oracle", print)
            with pytest.raises(ValueError, match="invalid input schema"):
                core.Agent("a", "b", "responder", print, input_schema="{")
            with pytest.raises(MeshFailure) as raised:
                await mesh.call("echo", b"1", headers={"X-Mesh-Secret": "1"})
            assert raised.value.code == "invalid_input"
            with pytest.raises(MeshFailure):
                await mesh.call("bad name", b"1")
            # An infinite timeout is a long one.
            assert await mesh.call("echo", b"1", timeout=float("inf")) == b"1"

    run(main)
