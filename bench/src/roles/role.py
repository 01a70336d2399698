"""A role with the published Python SDK, or the Python package; roles/mod.rs describes its input and output."""

import asyncio
import json
import logging
import os
import random
import sys
import threading
import time

from openagentmesh import AgentMesh, AgentSpec

BODY = "x" * 98
SMALL_BODY = "x" * (16 - 2)
MEDIUM_BODY = "x" * (16 * 1024 - 2)
LARGE_BODY = "x" * (100 * 1024 - 2)
# Number of keys, used in rotation.
KEYS = 64
# Chunks per stream when only the first chunk is timed.
SHORT_STREAM = 10
# Events published at once: fewer than a subscriber of the package buffers.
EVENT_BATCH = 12_000
# In seconds.
SUBSCRIBE_TIME = 0.3
# Calls before the memory is read for the first time.
FIRST_CALLS = 10_000
# In seconds, for every wait.
TIMEOUT = 60.0


def read_input(loop, tasks):
    for line in sys.stdin:
        loop.call_soon_threadsafe(tasks.put_nowait, json.loads(line))
    # The bench is done: pending work is dropped.
    os._exit(0)


def answer(value):
    print(json.dumps(value), flush=True)


async def host(url):
    mesh = AgentMesh(url)
    triggered = asyncio.Queue()

    @mesh.agent(AgentSpec(name="python.echo", description="Returns its input."))
    async def echo(body: str) -> str:
        return body

    @mesh.agent(AgentSpec(name="python.relay", description="Calls the echo."))
    async def relay(body: str) -> str:
        return await mesh.call("python.echo", body, timeout=TIMEOUT)

    @mesh.agent(AgentSpec(name="python.sleep", description="Returns its input after 100 ms."))
    async def sleep(body: str) -> str:
        await asyncio.sleep(0.1)
        return body

    @mesh.agent(AgentSpec(name="python.chunks", description="Streams bodies."))
    async def chunks(count: int) -> str:
        for _ in range(count):
            yield BODY

    @mesh.agent(AgentSpec(name="python.small-chunks", description="Streams small bodies."))
    async def small_chunks(count: int) -> str:
        for _ in range(count):
            yield SMALL_BODY

    @mesh.agent(AgentSpec(name="python.medium-chunks", description="Streams medium bodies."))
    async def medium_chunks(count: int) -> str:
        for _ in range(count):
            yield MEDIUM_BODY

    @mesh.agent(AgentSpec(name="python.publish", description="Triggers events."))
    async def publish(count: int) -> None:
        triggered.put_nowait(count)

    @mesh.agent(AgentSpec(name="python.news", description="Publishes the triggered events."))
    async def events() -> str:
        while True:
            for _ in range(await triggered.get()):
                yield BODY

    async with mesh:
        answer("ready")
        await asyncio.Event().wait()


async def call(mesh, agent="python.echo", body=BODY):
    assert await mesh.call(agent, body, timeout=TIMEOUT) == body


async def take_chunks(mesh, count, agent="python.chunks"):
    """Reads a stream to its end; returns the seconds to the first chunk."""
    if count == 0:
        return 0.0
    taken = 0
    started = time.perf_counter()
    async for _ in mesh.stream(agent, count, timeout=TIMEOUT):
        if taken == 0:
            first = time.perf_counter() - started
        taken += 1
    assert taken == count, f"{taken} of {count} chunks received"
    return first


async def take_events(mesh, count, subscribers):
    """Has events published, and receives all of them by each subscriber; returns the seconds."""

    async def take(events, count):
        for _ in range(count):
            await anext(events)

    subject = "mesh.agent.python.news.events"
    all_events = [mesh.subscribe(subject=subject, timeout=TIMEOUT) for _ in range(subscribers)]
    taking = [asyncio.create_task(take(events, 1)) for events in all_events]
    # A subscription starts with the first wait, and has no sign of its start.
    await asyncio.sleep(SUBSCRIBE_TIME)
    await mesh.call("python.publish", 1, timeout=TIMEOUT)
    await asyncio.gather(*taking)
    started = time.perf_counter()
    for first in range(0, count, EVENT_BATCH):
        batch = min(EVENT_BATCH, count - first)
        taking = [asyncio.create_task(take(events, batch)) for events in all_events]
        await mesh.call("python.publish", batch, timeout=TIMEOUT)
        await asyncio.gather(*taking)
    seconds = time.perf_counter() - started
    for events in all_events:
        await events.aclose()
    return seconds


def resident_mebibytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def memory(mesh, count, width):
    """The resident memory in MiB after some calls, and after `count` more; nothing where the system has none."""
    if not os.path.exists("/proc/self/statm"):
        return []
    await concurrent(min(count, FIRST_CALLS), width, lambda _: call(mesh))
    before = resident_mebibytes()
    await concurrent(count, width, lambda _: call(mesh))
    return [before, resident_mebibytes()]


async def put(mesh, number):
    await mesh.kv.put(f"bench.key-{number % KEYS}", BODY)


async def get(mesh, number):
    assert await mesh.kv.get(f"bench.key-{number % KEYS}") == BODY


async def watch(mesh, count):
    """The seconds from each put until a watch delivers the value."""
    # A new key: a client may keep earlier watches.
    key = f"bench.watched.{time.time_ns()}"
    await mesh.kv.put(key, BODY)
    changes = mesh.kv.watch(key)
    # The current value.
    await anext(changes)
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        putting = asyncio.create_task(mesh.kv.put(key, BODY))
        await anext(changes)
        latencies.append(time.perf_counter() - started)
        await putting
    await changes.aclose()
    return latencies


async def sequential(count, do):
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        await do()
        latencies.append(time.perf_counter() - started)
    return latencies


async def concurrent(count, width, do):
    async def share(first, last):
        for number in range(first, last):
            await do(number)

    shares = [(count + index) // width for index in range(width)]
    firsts = [sum(shares[:index]) for index in range(width)]
    await asyncio.gather(*(share(a, a + n) for a, n in zip(firsts, shares)))


async def measure(mesh, task):
    latencies = []
    count, width = task["messages"], task["in_flight"]
    if task["measure"] == "kv_get":
        for number in range(KEYS):
            await put(mesh, number)
    started = time.perf_counter()
    match task["measure"]:
        case "latency":
            latencies = await sequential(count, lambda: call(mesh))
        case "small_latency":
            latencies = await sequential(count, lambda: call(mesh, body=SMALL_BODY))
        case "medium_latency":
            latencies = await sequential(count, lambda: call(mesh, body=MEDIUM_BODY))
        case "two_hops":
            latencies = await sequential(count, lambda: call(mesh, "python.relay"))
        case "throughput":
            await concurrent(count, width, lambda _: call(mesh))
        case "sleeping":
            await concurrent(count, width, lambda _: call(mesh, "python.sleep"))
            latencies = [time.perf_counter() - started]
        case "memory":
            latencies = await memory(mesh, count, width)
        case "large_throughput":
            await concurrent(count, width, lambda _: call(mesh, body=LARGE_BODY))
        case "chunks":
            shares = ((count + index) // width for index in range(width))
            await asyncio.gather(*(take_chunks(mesh, share) for share in shares))
        case "small_chunks":
            await take_chunks(mesh, count, "python.small-chunks")
        case "medium_chunks":
            await take_chunks(mesh, count, "python.medium-chunks")
        case "first_chunk":
            latencies = [await take_chunks(mesh, SHORT_STREAM) for _ in range(count)]
        case "events":
            seconds = await take_events(mesh, count, width)
            return {"messages": count, "seconds": seconds, "latencies": []}
        case "kv_put":
            await concurrent(count, width, lambda number: put(mesh, number))
        case "kv_get":
            await concurrent(count, width, lambda number: get(mesh, number))
        case "kv_watch":
            latencies = await watch(mesh, count)
        case other:
            raise AssertionError(f"unknown measure: {other}")
    seconds = time.perf_counter() - started
    return {"messages": count, "seconds": seconds, "latencies": latencies}


async def caller(url, tasks):
    async with AgentMesh(url) as mesh:
        answer("ready")
        while True:
            answer(await measure(mesh, await tasks.get()))


def add(mesh, name):
    @mesh.agent(AgentSpec(name=name, description="Returns its name."))
    async def tell() -> str:
        return name


async def work(url, mesh, job):
    """Runs a job and returns the seconds of its timed part."""
    match job["do"]:
        case "register":
            for name in job["names"]:
                add(mesh, name)
            started = time.perf_counter()
            # The SDK registers new agents with its next operation on the mesh.
            await mesh.catalog()
            return time.perf_counter() - started
        case "connect":
            started = time.perf_counter()
            again = AgentMesh(url)
            await again.__aenter__()
            seconds = time.perf_counter() - started
            await again.__aexit__(None, None, None)
            return seconds
        case "connect_and_look":
            started = time.perf_counter()
            again = AgentMesh(url)
            await again.__aenter__()
            listed = len(await again.catalog())
            seconds = time.perf_counter() - started
            await again.__aexit__(None, None, None)
            assert listed >= job["agents"], f"the catalog lists {listed} agents"
            return seconds
        case "catalog":
            started = time.perf_counter()
            for _ in range(job["times"]):
                found = len(await mesh.catalog(channel=job["channel"]))
                assert found == job["agents"], f"the channel has {found} agents"
            return time.perf_counter() - started
        case "follow":
            started = time.perf_counter()
            # The SDK follows the catalog on the connection that it has.
            await mesh.catalog()
            return time.perf_counter() - started
        case "put":
            content = random.Random(7).randbytes(job["bytes"])
            started = time.perf_counter()
            await mesh.workspace.put(job["name"], content)
            return time.perf_counter() - started
        case "get":
            started = time.perf_counter()
            content = await mesh.workspace.get(job["name"])
            seconds = time.perf_counter() - started
            assert len(content) == job["bytes"], f"{len(content)} bytes received"
            return seconds
    raise AssertionError(f"unknown job: {job}")


async def worker(url, jobs):
    async with AgentMesh(url) as mesh:
        answer("ready")
        while True:
            job = await jobs.get()
            started = time.perf_counter()
            try:
                answer({"seconds": await work(url, mesh, job)})
            except RuntimeError as error:
                # The SDK gives up after ten lost races; the process serves the agents registered so far.
                answer({"seconds": time.perf_counter() - started, "gave_up": str(error)})


async def small_host(url, prefix, count):
    """Serves echo agents only."""
    mesh = AgentMesh(url)

    def serve(name):
        @mesh.agent(AgentSpec(name=name, description="Returns its input."))
        async def give_back(body: str) -> str:
            return body

    for agent in range(int(count)):
        serve(f"{prefix}.agent-{agent}")
    async with mesh:
        answer("ready")
        await asyncio.Event().wait()


async def main(role, url, *more):
    # A closed mesh logs the tasks that it did not await.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    tasks = asyncio.Queue()
    reader = threading.Thread(
        target=read_input, args=(asyncio.get_running_loop(), tasks), daemon=True
    )
    reader.start()
    match role:
        case "host":
            await host(url)
        case "caller":
            await caller(url, tasks)
        case "worker":
            await worker(url, tasks)
        case "small-host":
            await small_host(url, *more)


asyncio.run(main(*sys.argv[1:]))
