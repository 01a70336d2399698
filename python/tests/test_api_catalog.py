"""The catalog, contracts and observation."""

from __future__ import annotations

import asyncio

import pytest

from api_support import on_loop, started, take
from openagentmesh import AgentMesh, AgentSpec, CatalogEntry, MeshTimeout, NotFound


def add_agents(mesh: AgentMesh) -> None:
    @mesh.agent(AgentSpec(name="text.count", description="Counts.", tags=["text", "fast"]))
    async def count(text: str) -> int:
        return len(text.split())

    @mesh.agent(
        AgentSpec(name="text.deep.split", description="Splits.", tags=["text"], version="2.0.0")
    )
    async def split(text: str) -> str:
        for word in text.split():
            yield word

    @mesh.agent(AgentSpec(name="textual", description="Publishes."))
    async def textual() -> str:
        yield "a"
        await asyncio.Event().wait()

    @mesh.agent(AgentSpec(name="sentry", description="Watches."), mcp=False)
    async def sentry() -> None:
        await asyncio.Event().wait()


def names(entries: list[CatalogEntry]) -> list[str]:
    return sorted(entry.name for entry in entries)


@on_loop
async def test_catalog_knows_own_agents_at_once() -> None:
    async with AgentMesh.local() as mesh:
        assert await mesh.catalog() == []
        add_agents(mesh)
        assert names(await mesh.catalog()) == ["sentry", "text.count", "text.deep.split", "textual"]


@on_loop
async def test_filters_select_entries() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        assert names(await mesh.catalog(channel="text")) == ["text.count", "text.deep.split"]
        assert names(await mesh.catalog("text.deep")) == ["text.deep.split"]
        assert names(await mesh.catalog(tags=["text", "fast"])) == ["text.count"]
        assert names(await mesh.catalog(streaming=True)) == ["text.deep.split", "textual"]
        assert names(await mesh.catalog(streaming=True, invocable=True)) == ["text.deep.split"]
        assert names(await mesh.catalog(invocable=False)) == ["sentry", "textual"]
        assert names(await mesh.catalog(channel="nothing")) == []
        entry = (await mesh.catalog("text.deep"))[0]
        assert entry.model_dump() == {
            "name": "text.deep.split",
            "description": "Splits.",
            "version": "2.0.0",
            "tags": ["text"],
            "invocable": True,
            "streaming": True,
        }


@on_loop
async def test_contract_has_the_schemas() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        count = await mesh.contract("text.count")
        assert (count.input_schema, count.output_schema) == (
            {"type": "string"},
            {"type": "integer"},
        )
        assert (count.invocable, count.streaming, count.subject) == (
            True,
            False,
            "mesh.agent.text.count",
        )
        split = await mesh.contract("text.deep.split")
        assert (split.output_schema, split.chunk_schema) == (None, {"type": "string"})
        assert (await mesh.contract("sentry")).mcp is False
        with pytest.raises(NotFound) as caught:
            await mesh.contract("missing")
        assert caught.value.agent == "missing"


@on_loop
async def test_discover_has_the_contracts_of_a_channel() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        found = await mesh.discover(channel="text")
        assert sorted(contract.name for contract in found) == ["text.count", "text.deep.split"]
        assert len(await mesh.discover()) == 4


@on_loop
async def test_other_process_sees_the_agents() -> None:
    async with AgentMesh.local() as mesh, AgentMesh(mesh.url) as other:
        add_agents(mesh)
        waiting = asyncio.ensure_future(other.wait_for("text.count"))
        await mesh.catalog()
        assert (await waiting).name == "text.count"
        assert await other.call("text.count", "to be") == 2
        assert other.instance_id != mesh.instance_id
        with pytest.raises(MeshTimeout):
            await other.wait_for("missing", timeout=0.1)


@on_loop
async def test_contract_of_a_local_agent_is_that_of_the_registry() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        for name, agent in mesh._agents.items():
            registered = await mesh.contract(name)
            ours = agent.contract()
            ignored = {"registered_at", "skills"}
            assert ours.model_dump(exclude=ignored) == registered.model_dump(exclude=ignored)


@on_loop
async def test_death_notices_are_observed() -> None:
    async with AgentMesh.local() as mesh:
        marker = {"agent": "marker", "reason": "disconnect", "detected_at": "2026-07-18T00:00:00Z"}
        notices = await started(
            mesh.observe.deaths(), lambda: mesh.publish("mesh.death.marker", marker)
        )
        other = AgentMesh(mesh.url)
        add_agents(other)
        async with other:
            pass
        assert {notice.reason for notice in await take(notices, 4)} == {"graceful_shutdown"}


@on_loop
async def test_log_events_are_observed() -> None:
    async with AgentMesh.local() as mesh:
        event = {
            "timestamp": "2026-07-18T14:30:00+00:00",
            "level": "warn",
            "agent": "a.b",
            "event": "marker",
        }
        events = await started(
            mesh.observe.logs("a.b", level="warn"), lambda: mesh.publish("mesh.logs.a.b", event)
        )
        await mesh.publish("mesh.logs.a.b", {**event, "level": "info", "event": "agent_registered"})
        await mesh.publish("mesh.logs.a.b", {"invalid": True})
        await mesh.publish("mesh.logs.a.b", {**event, "level": "error", "event": "request_failed"})
        assert [seen.event for seen in await take(events, 1)] == ["request_failed"]
        with pytest.raises(ValueError, match="invalid level"):
            await take(mesh.observe.logs(level="loud"), 1)


@on_loop
async def test_log_levels_are_not_available_yet() -> None:
    async with AgentMesh.local() as mesh:
        for operation in (
            mesh.observe.get("a"),
            mesh.observe.set("a", log_level="debug"),
            mesh.observe.set_global(log_level="debug"),
        ):
            with pytest.raises(NotImplementedError, match="not available yet"):
                await operation
