"""A host or a caller with the published Python SDK; see roles/mod.rs for what it is told."""

import asyncio
import json
import os
import random
import sys
import threading
import time

from openagentmesh import AgentMesh, AgentSpec

BODY = "x" * 98
# In seconds, for everything that waits.
TIMEOUT = 60.0


def read_input(loop, tasks):
    for line in sys.stdin:
        loop.call_soon_threadsafe(tasks.put_nowait, json.loads(line))
    # Nobody needs what is still under way.
    os._exit(0)


def say(what):
    print(json.dumps(what), flush=True)


async def host(url):
    mesh = AgentMesh(url)
    asked = asyncio.Queue()

    @mesh.agent(AgentSpec(name="python.echo", description="Gives back."))
    async def echo(body: str) -> str:
        return body

    @mesh.agent(AgentSpec(name="python.chunks", description="Streams so many bodies."))
    async def chunks(count: int) -> str:
        for _ in range(count):
            yield BODY

    @mesh.agent(AgentSpec(name="python.publish", description="Has so many events published."))
    async def publish(count: int) -> None:
        asked.put_nowait(count)

    @mesh.agent(AgentSpec(name="python.events", description="Publishes what it is asked for."))
    async def events() -> str:
        while True:
            for _ in range(await asked.get()):
                yield BODY

    async with mesh:
        say("ready")
        await asyncio.Event().wait()


async def calls(mesh, count, latencies=None):
    for _ in range(count):
        started = time.perf_counter()
        assert await mesh.call("python.echo", BODY, timeout=TIMEOUT) == BODY
        if latencies is not None:
            latencies.append(time.perf_counter() - started)


async def take_chunks(mesh, count):
    taken = 0
    async for _ in mesh.stream("python.chunks", count, timeout=TIMEOUT):
        taken += 1
    assert taken == count, f"{taken} chunks came of {count}"


async def take_events(mesh, count):
    events = mesh.subscribe(subject="mesh.agent.python.events.events", timeout=TIMEOUT)

    async def take():
        for _ in range(count):
            await anext(events)

    taking = asyncio.create_task(take())
    # By then the subscription is ahead of the call in the connection's buffer.
    await asyncio.sleep(0)
    await mesh.call("python.publish", count, timeout=TIMEOUT)
    await taking
    await events.aclose()


async def measure(mesh, task):
    latencies = []
    count = task["messages"]
    started = time.perf_counter()
    match task["measure"]:
        case "latency":
            await calls(mesh, count, latencies)
        case "throughput":
            width = task["in_flight"]
            await asyncio.gather(*(calls(mesh, (count + i) // width) for i in range(width)))
        case "chunks":
            await take_chunks(mesh, count)
        case "events":
            await take_events(mesh, count)
    seconds = time.perf_counter() - started
    return {"messages": count, "seconds": seconds, "latencies": latencies}


async def caller(url, tasks):
    async with AgentMesh(url) as mesh:
        say("ready")
        while True:
            say(await measure(mesh, await tasks.get()))


def add(mesh, name):
    @mesh.agent(AgentSpec(name=name, description="Tells its name."))
    async def tell() -> str:
        return name


async def work(mesh, job):
    """Does a job, and takes the time of that part of it that the others are timed for."""
    match job["do"]:
        case "register":
            for name in job["names"]:
                add(mesh, name)
            started = time.perf_counter()
            # It registers what is new with the next thing that it does on the mesh.
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
            assert len(content) == job["bytes"], f"{len(content)} bytes came"
            return seconds
    raise AssertionError(f"a job of others: {job}")


async def worker(url, jobs):
    async with AgentMesh(url) as mesh:
        say("ready")
        while True:
            job = await jobs.get()
            started = time.perf_counter()
            try:
                say({"seconds": await work(mesh, job)})
            except RuntimeError as error:
                # It gives up after ten lost races, and serves on what it has registered by then.
                say({"seconds": time.perf_counter() - started, "gave_up": str(error)})


async def main(role, url):
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


asyncio.run(main(*sys.argv[1:]))
