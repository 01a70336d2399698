"""Each verb of the Rust half."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from bridge_support import (
    MeshFailure,
    agent,
    collect,
    core,
    counter,
    echo,
    eventually,
    local_mesh,
    run,
)


def test_call_returns_the_reply_and_its_error() -> None:
    async def main() -> None:
        async def failing(request: Any) -> None:
            request.fail("out_of_stock", "none left", b'{"left": 0}')

        async with local_mesh(echo(), agent("shop", failing)) as mesh:
            assert json.loads(await mesh.call("echo", b'{"a": [1, null]}')) == {"a": [1, None]}
            # Without a body the input is null.
            assert await mesh.call("echo") == b"null"
            with pytest.raises(MeshFailure) as raised:
                await mesh.call("shop", b"1")
            error = raised.value
            assert (error.code, error.message, error.agent) == ("out_of_stock", "none left", "shop")
            assert error.details == {"left": 0}
            assert error.request_id
            with pytest.raises(MeshFailure) as raised:
                await mesh.call("nobody", b"1")
            assert raised.value.code == "not_found"
            with pytest.raises(MeshFailure) as raised:
                await mesh.stream("echo", b"1")
            assert raised.value.code == "invocation_mismatch"

    run(main)


def test_request_has_headers_id_caller_and_deadline() -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def handler(request: Any) -> None:
            seen.append(
                (
                    request.agent,
                    request.request_id,
                    request.caller,
                    request.header("TRACEPARENT"),
                    request.headers["traceparent"],
                    request.time_left,
                    request.cancelled,
                )
            )
            inner = await request.client.call("echo", b'"inner"')
            request.finish(inner)

        async with local_mesh(echo(), agent("outer", handler)) as mesh:
            reply = await mesh.call("outer", b"1", 20, {"traceparent": "00-ab-cd-01"})
            assert reply == b'"inner"'
            name, request_id, caller, header, listed, left, cancelled = seen[0]
            assert (name, header, listed, cancelled) == ("outer", "00-ab-cd-01", "00-ab-cd-01", False)
            assert request_id and caller == mesh.instance_id
            assert 0 < left <= 20

    run(main)


def test_five_shapes_are_served() -> None:
    async def main() -> None:
        watched = asyncio.Event()
        go = asyncio.Event()

        async def trigger(request: Any) -> None:
            assert request.body == b""
            request.finish(b'"noon"')

        async def publisher(request: Any) -> None:
            await go.wait()
            for number in range(3):
                request.send_chunk(b"%d" % number)
            request.finish()

        async def watcher(request: Any) -> None:
            watched.set()
            await asyncio.Event().wait()

        agents = [
            echo(),
            counter(),
            agent("noon", trigger, "trigger", output_schema='{"type": "string"}'),
            agent("ticks", publisher, "publisher", chunk_schema='{"type": "integer"}'),
            agent("watch", watcher, "watcher"),
        ]
        async with local_mesh(*agents) as mesh:
            assert sorted(mesh.agents) == ["count", "echo", "noon", "ticks", "watch"]
            assert await mesh.call("noon") == b'"noon"'
            assert await collect(await mesh.stream("count", b"3")) == [b"0", b"1", b"2"]
            events = await mesh.subscribe(agent="ticks")
            go.set()
            received = await collect(events, 3)
            assert [event.data for event in received] == [b"0", b"1", b"2"]
            assert received[0].agent == "ticks"
            await asyncio.wait_for(watched.wait(), 10)
            entries = {entry["name"]: entry for entry in json.loads(await mesh.catalog())}
            assert entries["ticks"]["streaming"] and not entries["ticks"]["invocable"]
            await mesh.deregister(["noon"])
            assert "noon" not in mesh.agents
            with pytest.raises(MeshFailure):
                await mesh.call("noon")

    run(main)


def test_stream_error_follows_its_chunks() -> None:
    async def main() -> None:
        async def handler(request: Any) -> None:
            request.send_chunk(b"1")
            request.send_chunk(b"2")
            request.fail("broken", "no more")

        async with local_mesh(agent("broken", handler, "streamer")) as mesh:
            chunks = await mesh.stream("broken", b"1")
            assert await collect(chunks, 2) == [b"1", b"2"]
            with pytest.raises(MeshFailure) as raised:
                await collect(chunks)
            assert raised.value.code == "broken"
            assert await collect(chunks) == []

    run(main)


def test_slow_consumer_slows_the_handler() -> None:
    async def main() -> None:
        sent = 0

        async def handler(request: Any) -> None:
            nonlocal sent
            while True:
                room = request.send_chunk(b'"chunk"')
                sent += 1
                if room is not None:
                    await room

        async with local_mesh(agent("endless", handler, "streamer")) as mesh:
            chunks = await mesh.stream("endless", b"1", window=16)
            assert await collect(chunks, 1, 1) == [b'"chunk"']
            last = -1
            while last != sent:
                last = sent
                await asyncio.sleep(0.3)
            assert sent < 1000
            chunks.close()

    run(main)


def test_chunks_of_a_thread_wait_for_room() -> None:
    async def main() -> None:
        def produce(request: Any) -> None:
            number = 0
            while request.send_chunk_blocking(b"%d" % number):
                number += 1

        def start(request: Any) -> None:
            asyncio.get_running_loop().run_in_executor(None, produce, request)

        before = core.bridge_stats()["requests"]
        endless = core.Agent("endless", "Counts.", "streamer", start)
        async with local_mesh(endless) as mesh:
            chunks = await mesh.stream("endless", b"1")
            numbers = await collect(chunks, 2000)
            assert [int(number) for number in numbers] == list(range(len(numbers)))
            chunks.close()
            # The thread ends with the request.
            await eventually(lambda: core.bridge_stats()["requests"] <= before)

    run(main)


def test_send_calls_back_with_the_reply_or_the_error() -> None:
    async def main() -> None:
        replies: list[Any] = []

        async def failing(request: Any) -> None:
            request.fail("broken", "no")

        async with local_mesh(echo(), agent("broken", failing)) as mesh:
            await mesh.send("echo", b'"hi"', on_reply=replies.append)
            await mesh.send("broken", b"1", on_reply=replies.append, on_error=replies.append)
            await mesh.send("absent", b"1", on_error=replies.append)
            await eventually(lambda: len(replies) == 3)
            assert b'"hi"' in replies
            codes = {reply.code for reply in replies if isinstance(reply, MeshFailure)}
            assert codes == {"broken", "not_found"}
            inbox = await mesh.subscribe(subject="my.inbox")
            await mesh.send("echo", b'"there"', reply_to="my.inbox")
            assert (await collect(inbox, 1))[0].data == b'"there"'

    run(main)


def test_publish_and_subscribe_keep_kind_and_headers() -> None:
    async def main() -> None:
        async with local_mesh() as mesh:
            events = await mesh.subscribe(subject="orders.>")
            await mesh.publish("orders.new", b'{"id": 7}', headers={"a": "1"})
            await mesh.publish("orders.text", "caf\u00e9".encode(), "text")
            await mesh.publish("orders.bytes", b"\xff\x00", "bytes")
            json_event, text, raw = await collect(events, 3)
            assert (json_event.data, json_event.content_type) == (b'{"id": 7}', "json")
            assert json_event.subject == "orders.new" and json_event.headers["a"] == "1"
            assert (text.data.decode(), text.content_type) == ("caf\u00e9", "text")
            assert (raw.data, raw.content_type) == (b"\xff\x00", "bytes")
            assert json_event.agent is None and json_event.reply_to is None
            silent = await mesh.subscribe(subject="never", timeout=0.2)
            (error,) = await collect(silent, 1)
            assert isinstance(error, MeshFailure) and error.code == "timeout"
            assert await collect(silent) == []
            events.close()
            assert await collect(events) == []

    run(main)


def test_catalog_contract_and_discover_return_json() -> None:
    async def main() -> None:
        typed = agent(
            "shop.order",
            lambda request: request.finish(request.body),
            version="1.2.0",
            tags=["shop", "fast"],
            input_schema='{"type": "string"}',
            output_schema='{"type": "string"}',
            idempotent=True,
        )
        assert json.loads(typed.contract())["name"] == "shop.order"
        assert (typed.name, typed.shape) == ("shop.order", "responder")
        async with local_mesh(typed, echo()) as mesh:
            entries = json.loads(await mesh.catalog(channel="shop", tags=["fast"]))
            assert [(e["name"], e["version"], e["tags"]) for e in entries] == [
                ("shop.order", "1.2.0", ["shop", "fast"])
            ]
            assert json.loads(await mesh.catalog(streaming=True)) == []
            assert len(json.loads(await mesh.catalog(fresh=True))) == 2
            contract = await mesh.contract("shop.order")
            assert json.loads(contract)["skills"][0]["inputSchema"] == {"type": "string"}
            assert len(json.loads(await mesh.discover(invocable=True))) == 2
            assert json.loads(await mesh.wait_for("echo", 5))["name"] == "echo"
            for kind in ("neutral", "anthropic", "openai_chat", "openai_responses"):
                assert b"shop_order" in core.tool_definition(contract, kind)
            assert json.loads(core.agent_card(contract, "http://x"))["url"] == "http://x"
            with pytest.raises(MeshFailure) as raised:
                await mesh.contract("absent")
            assert raised.value.code == "not_found"
            with pytest.raises(MeshFailure):
                core.tool_definition(b"[]", "neutral")

    run(main)


def test_kv_reads_writes_and_watches() -> None:
    async def main() -> None:
        async with local_mesh() as mesh:
            kv = mesh.kv
            assert await kv.get("a") is None
            first = await kv.put("a", b"\xff1")
            assert await kv.get("a") == (b"\xff1", first)
            with pytest.raises(MeshFailure) as raised:
                await kv.create("a", b"2")
            assert raised.value.code == "kv_key_exists"
            second = await kv.update("a", b"2", first)
            with pytest.raises(MeshFailure) as raised:
                await kv.update("a", b"3", first)
            assert raised.value.code == "kv_wrong_revision"
            await kv.create("b.c", b"4")
            assert sorted(await kv.keys()) == ["a", "b.c"]
            assert await kv.list("a") == [("a", b"2", second)]
            changes = await kv.watch()
            existing = await collect(changes, 2)
            assert sorted(change[:2] for change in existing) == [("a", b"2"), ("b.c", b"4")]
            await kv.delete("a")
            ((key, value, revision),) = await collect(changes, 1)
            assert (key, value) == ("a", None) and revision > second
            changes.close()
            updates = await kv.watch("b.>", updates_only=True)
            await kv.put("b.c", b"5")
            assert (await collect(updates, 1))[0][:2] == ("b.c", b"5")
            with pytest.raises(MeshFailure) as raised:
                await kv.put("bad key", b"1")
            assert raised.value.code == "invalid_input"

    run(main)


def test_workspace_stores_files(tmp_path: Path) -> None:
    async def main() -> None:
        async with local_mesh() as mesh:
            files = mesh.workspace
            content = bytes(range(256)) * 10_000
            info = json.loads(await files.put("a/b.bin", content, "application/x", "A file."))
            assert (info["size"], info["content_type"]) == (len(content), "application/x")
            assert await files.get("a/b.bin") == content
            source, target = tmp_path / "source", tmp_path / "target"
            source.write_bytes(content)
            await files.put_file("c", str(source))
            await files.get_file("c", str(target))
            assert target.read_bytes() == content
            assert [file["name"] for file in json.loads(await files.list("a/"))] == ["a/b.bin"]
            assert json.loads(await files.info("c"))["size"] == len(content)
            assert await files.info("absent") is None
            assert await files.delete("c") is True
            assert await files.delete("c") is False
            with pytest.raises(MeshFailure) as raised:
                await files.get("absent")
            assert raised.value.code == "not_found"

    run(main)


def test_connection_has_options_and_states() -> None:
    async def main() -> None:
        mesh = await core.connect(local=True, name="tester", request_timeout=5)
        assert mesh.connection_state == "connected"
        assert mesh.url.startswith("nats://127.0.0.1:")
        second = await core.connect(url=mesh.url)
        assert second.instance_id != mesh.instance_id
        await second.shutdown()
        assert second.connection_state == "closed"
        await second.shutdown()
        await mesh.shutdown()
        with pytest.raises(MeshFailure) as raised:
            await mesh.call("echo", b"1", 1)
        assert raised.value.code == "connection_failed"
        mesh.abort()
        with pytest.raises(RuntimeError, match="the mesh has ended"):
            mesh.register([])
        for options, code in [
            ({"url": "nats://127.0.0.1:1"}, "connection_failed"),
            ({"url": "http://127.0.0.1:1"}, "configuration"),
            ({"url": "nats://127.0.0.1:1", "creds": "/does/not/exist"}, "configuration"),
            ({"url": "nats://127.0.0.1:1", "tls_ca": "/does/not/exist"}, "configuration"),
            ({"url": "nats://127.0.0.1:1", "local": True}, "configuration"),
        ]:
            with pytest.raises(MeshFailure) as raised:
                await core.connect(**options)
            assert raised.value.code == code, (options, raised.value)
        with pytest.raises(ValueError, match="tls_cert and tls_key go together"):
            core.connect(tls_cert="a")

    run(main)


def test_names_and_codes_are_checked() -> None:
    core.check_name("nlp.summarizer")
    with pytest.raises(MeshFailure, match="invalid"):
        core.check_name("a b")
    assert core.retryable("timeout") and not core.retryable("invalid_input")


def test_usage_is_part_of_the_answer() -> None:
    async def main() -> None:
        async def handler(request: Any) -> None:
            with pytest.raises(ValueError, match="invalid usage"):
                request.set_usage(b"[1]")
            request.set_usage(b'{"input_tokens": 3, "model": "small"}')
            request.set_usage(b'{"input_tokens": 4}')
            request.finish(b"1")

        async with local_mesh(agent("paid", handler)) as mesh:
            inbox = await mesh.subscribe(subject="my.inbox")
            await mesh.send("paid", b"1", reply_to="my.inbox")
            (reply,) = await collect(inbox, 1)
            usage = {name.lower(): value for name, value in reply.headers.items()}["x-mesh-usage"]
            assert json.loads(usage) == {"input_tokens": 7, "model": "small"}

    run(main)
