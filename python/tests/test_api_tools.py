"""Agents as tools for language models."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from api_support import on_loop
from openagentmesh import AgentMesh, AgentSpec, InvalidInput, MeshError, MeshTool, NotFound, Toolset


class Weather(BaseModel):
    """A question for the weather."""

    city: str = Field(description="The city.")
    unit: Literal["celsius", "kelvin"] = "celsius"
    days: list[int] | None = None


def add_agents(mesh: AgentMesh) -> None:
    @mesh.agent(AgentSpec(name="town.weather", description="Forecasts.", tags=["town", "slow"]))
    async def weather(request: Weather) -> str:
        return f"{request.city}: 20 {request.unit}, days {request.days}"

    @mesh.agent(AgentSpec(name="town.shout", description="Shouts.", tags=["town"]))
    async def shout(text: str) -> str:
        return text.upper()

    @mesh.agent(AgentSpec(name="town.noon", description="The time of noon.", tags=["town"]))
    async def noon() -> str:
        return "12:00"

    @mesh.agent(AgentSpec(name="town.pieces", description="Splits.", tags=["town"]))
    async def pieces(text: str) -> str:
        for word in text.split():
            yield word

    @mesh.agent(AgentSpec(name="town.news", description="Publishes."))
    async def news() -> str:
        yield "a"
        await asyncio.Event().wait()

    @mesh.agent(AgentSpec(name="town.fragile", description="Fails."))
    async def fragile(text: str) -> str:
        raise MeshError("mine", "boom", details={"a": 1})

    @mesh.agent(AgentSpec(name="elsewhere", description="Is elsewhere."))
    async def elsewhere(text: str) -> str:
        return text


@on_loop
async def test_tools_are_the_invocable_agents_of_the_selection() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        tools = await mesh.tools(channel="town")
        assert isinstance(tools, Toolset)
        assert [tool.agent for tool in tools] == [
            "town.fragile",
            "town.noon",
            "town.pieces",
            "town.shout",
            "town.weather",
        ]
        assert [tool.name for tool in await mesh.tools(tags=["town", "slow"])] == ["town_weather"]
        assert [tool.agent for tool in await mesh.tools(names=["town.shout", "elsewhere"])] == [
            "town.shout",
            "elsewhere",
        ]
        assert len(await mesh.tools()) == 6
        with pytest.raises(NotFound):
            await mesh.tools(names=["missing"])
        with pytest.raises(ValueError, match="not invocable"):
            await mesh.tools(names=["town.news"])


@on_loop
async def test_tool_describes_itself() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        (tool,) = await mesh.tools(names=["town.weather"])
        assert isinstance(tool, MeshTool)
        assert (tool.name, tool.__name__) == ("town_weather", "town_weather")
        assert (tool.description, tool.__doc__) == ("Forecasts.", "Forecasts.")
        assert tool.input_schema["required"] == ["city"]
        assert tool.input_schema["properties"]["city"]["description"] == "The city."
        assert list(inspect.signature(tool).parameters) == ["city", "unit", "days"]
        assert repr(tool) == "<MeshTool town_weather agent=town.weather>"


@on_loop
async def test_tool_is_called_in_every_way() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        weather, shout, noon, pieces = await mesh.tools(
            names=["town.weather", "town.shout", "town.noon", "town.pieces"]
        )
        expected = "Rome: 20 kelvin, days None"
        assert await weather(city="Rome", unit="kelvin") == expected
        assert await weather({"city": "Rome", "unit": "kelvin"}) == expected
        assert await weather(Weather(city="Rome", unit="kelvin")) == expected
        assert await weather.invoke('{"city": "Rome", "unit": "kelvin"}') == expected
        assert await weather.text('{"city": "Rome", "unit": "kelvin"}') == expected
        assert await asyncio.to_thread(weather.call_sync, city="Rome", unit="kelvin") == expected
        assert await shout("hi") == "HI"
        assert await shout(input="hi") == "HI"
        assert await shout.invoke('{"input": "hi"}') == "HI"
        assert await noon() == "12:00"
        assert await noon.invoke() == "12:00"
        assert await noon.invoke("{}") == "12:00"
        assert await pieces("to be") == ["to", "be"]
        assert json.loads(await pieces.text({"input": "to be"})) == ["to", "be"]


@on_loop
async def test_error_of_a_tool_is_raised_or_a_text() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        tools = await mesh.tools("town")
        fragile = tools.get("town_fragile")
        assert fragile is not None
        with pytest.raises(MeshError, match="boom"):
            await fragile("x")
        assert await fragile.text({"input": "x"}) == 'error mine: boom {"a": 1}'
        weather = tools.get("town_weather")
        assert weather is not None
        with pytest.raises(InvalidInput):
            await weather(town="Rome")
        with pytest.raises(InvalidInput):
            await weather.invoke("not json")
        assert "invalid_input" in await weather.text("[1]")
        with pytest.raises(TypeError, match="not both"):
            await weather({"city": "a"}, city="b")
        with pytest.raises(TypeError, match="JSON cannot express"):
            await weather(city=object())


@on_loop
async def test_toolset_makes_the_calls_of_a_model() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        tools = await mesh.tools("town")
        assert await tools.call("town_shout", '{"input": "hi"}') == "HI"
        assert await tools.call("town_noon") == "12:00"
        with pytest.raises(NotFound, match="town_weather"):
            await tools.call("missing", "{}")


@on_loop
async def test_toolset_has_the_forms_of_the_providers() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        tools = await mesh.tools("town")
        names = [tool.name for tool in tools]
        assert [tool["function"]["name"] for tool in tools.to_openai()] == names
        assert [tool["name"] for tool in tools.to_openai(api="responses", strict=True)] == names
        assert [tool["name"] for tool in tools.to_anthropic()] == names
        for tool in tools.to_anthropic():
            assert tool["input_schema"]["type"] == "object"


@on_loop
async def test_names_of_tools_are_unique() -> None:
    async with AgentMesh.local() as mesh:
        for name in ("a.b", "a_b", "a-b"):

            async def tell(name: str = name) -> str:
                return name

            mesh.agent(AgentSpec(name=name, description="Returns a name."))(tell)
        tools = await mesh.tools()
        assert len({tool.name for tool in tools}) == 3
        assert {await tool(tool.agent) for tool in tools} == {"a.b", "a_b", "a-b"}


@on_loop
async def test_input_model_has_the_fields_of_the_schema() -> None:
    async with AgentMesh.local() as mesh:
        add_agents(mesh)
        weather, shout, noon = await mesh.tools(names=["town.weather", "town.shout", "town.noon"])
        model: Any = weather.input_model
        assert model is weather.input_model
        assert model.model_json_schema() == weather.input_schema
        assert list(model.model_fields) == ["city", "unit", "days"]
        assert model(city="Rome").city == "Rome"
        with pytest.raises(ValidationError):
            model()
        with pytest.raises(ValidationError):
            model(city="Rome", unit="fahrenheit")
        assert await weather(model(city="Rome")) == "Rome: 20 celsius, days None"
        assert list(shout.input_model.model_fields) == ["input"]
        assert list(noon.input_model.model_fields) == []
