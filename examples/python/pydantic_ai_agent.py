"""A PydanticAI agent on the mesh, with the mesh's agents as tools."""

import asyncio

from pydantic_ai import Agent, Tool
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel

from openagentmesh import AgentMesh, AgentSpec, MeshTool, Usage, report_usage
from weather import add_weather


def pydantic_ai_tool(tool: MeshTool) -> Tool:
    """A mesh tool as a PydanticAI tool."""

    async def call(**arguments: object) -> object:
        return await tool(arguments)

    return Tool.from_schema(
        call, name=tool.name, description=tool.description, json_schema=tool.input_schema
    )


def add_assistant(mesh: AgentMesh, model: Model) -> None:
    """Serves a PydanticAI agent as `assistant.pydantic_ai`."""

    @mesh.agent(
        AgentSpec(name="assistant.pydantic_ai", description="Answers questions about trips.")
    )
    async def assistant(question: str) -> str:
        tools = [pydantic_ai_tool(tool) for tool in await mesh.tools(channel="weather")]
        result = await Agent(model, tools=tools).run(question)
        usage = result.usage if hasattr(result.usage, "input_tokens") else result.usage()
        report_usage(Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens))
        return result.output


async def main() -> None:
    async with AgentMesh.local() as mesh:
        add_weather(mesh)
        # This model calls every tool, and answers with what they return.
        add_assistant(mesh, TestModel())
        print(await mesh.call("assistant.pydantic_ai", "What do I need in Rome?"))


if __name__ == "__main__":
    asyncio.run(main())
