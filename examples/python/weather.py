"""Two plain agents that the agents of the frameworks use as tools."""

from typing import Literal

from pydantic import BaseModel, Field

from openagentmesh import AgentMesh, AgentSpec


class Question(BaseModel):
    """A question about the weather."""

    city: str = Field(description="The city.")
    unit: Literal["celsius", "fahrenheit"] = "celsius"


def add_weather(mesh: AgentMesh) -> None:
    """Adds the agents of the channel `weather`."""

    @mesh.agent(AgentSpec(name="weather.forecast", description="Forecasts the weather of a city."))
    async def forecast(question: Question) -> str:
        degrees = 21 if question.unit == "celsius" else 70
        return f"{question.city}: sunny, {degrees} degrees {question.unit}"

    @mesh.agent(AgentSpec(name="weather.cities", description="Lists the cities with a forecast."))
    async def cities() -> list[str]:
        return ["Lisbon", "Rome"]
