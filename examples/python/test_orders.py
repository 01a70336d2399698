"""Tests of agents, as a user writes them: `pytest test_orders.py`."""

import asyncio

import pytest

from openagentmesh import AgentMesh, InvalidInput, MeshError


async def price(article: str) -> int:
    """Prices an article in cents."""
    if article != "tea":
        raise MeshError("no_such_article", f"no article '{article}'")
    return 450


def test_tea_is_priced() -> None:
    assert asyncio.run(price("tea")) == 450


def test_order_is_called_on_a_mesh_of_its_own() -> None:
    async def order() -> None:
        async with AgentMesh.local() as mesh:
            mesh.agent(price)
            assert await mesh.call("price", "tea") == 450
            assert [entry.name for entry in await mesh.catalog()] == ["price"]
            with pytest.raises(InvalidInput):
                await mesh.call("price", 7)
            with pytest.raises(MeshError) as raised:
                await mesh.call("price", "gold")
            assert raised.value.code == "no_such_article"

    asyncio.run(order())
