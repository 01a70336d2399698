"""A CrewAI crew on the mesh, with the mesh's agents as tools."""

import asyncio
import os
from typing import Any

os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")

from crewai import Agent, BaseLLM, Crew, Task  # noqa: E402
from crewai.tools import BaseTool  # noqa: E402

from openagentmesh import AgentMesh, AgentSpec, MeshTool  # noqa: E402
from weather import add_weather  # noqa: E402


class MeshCrewTool(BaseTool):
    """A mesh tool as a CrewAI tool. Crews are synchronous, so it calls by `mesh.sync`."""

    def __init__(self, tool: MeshTool) -> None:
        super().__init__(name=tool.name, description=tool.description, args_schema=tool.input_model)
        self._tool = tool

    def _run(self, **arguments: Any) -> Any:
        given = {name: value for name, value in arguments.items() if value is not None}
        return self._tool.call_sync(given)


class FakeModel(BaseLLM):
    """A model that asks for the forecast of Rome, and then answers with it."""

    def call(self, messages: Any, *arguments: Any, **options: Any) -> str:
        answers = [message["content"] for message in messages if message["role"] == "assistant"]
        if answers:
            observed = answers[-1].rpartition("Observation:")[2].strip()
            return f"Thought: I know it.\nFinal Answer: Take sunglasses. {observed}"
        return 'Thought: I need the forecast.\nAction: weather_forecast\nAction Input: {"city": "Rome"}'

    def supports_function_calling(self) -> bool:
        return False


def add_crew(mesh: AgentMesh, model: BaseLLM) -> None:
    """Serves a crew as `assistant.crewai`. The handler is a plain function: the mesh runs it in a thread."""

    @mesh.agent(AgentSpec(name="assistant.crewai", description="Answers questions about trips."))
    def assistant(question: str) -> str:
        tools = [MeshCrewTool(tool) for tool in mesh.sync.tools(channel="weather")]
        guide = Agent(
            role="Guide",
            goal="Prepare travellers.",
            backstory="Has seen it all.",
            llm=model,
            tools=tools,
        )
        task = Task(description=question, expected_output="One sentence.", agent=guide)
        return Crew(agents=[guide], tasks=[task]).kickoff().raw


async def main() -> None:
    async with AgentMesh.local() as mesh:
        add_weather(mesh)
        add_crew(mesh, FakeModel(model="fake"))
        print(await mesh.call("assistant.crewai", "What do I need in Rome?", timeout=120.0))


if __name__ == "__main__":
    asyncio.run(main())
