"""An agent of the OpenAI Agents SDK on the mesh, with the mesh's agents as tools."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, FunctionTool, Model, ModelResponse, RunConfig, Runner, Usage
from agents.tool_context import ToolContext
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from openagentmesh import AgentMesh, AgentSpec, MeshTool
from weather import add_weather


def function_tool(tool: MeshTool) -> FunctionTool:
    """A mesh tool as a function tool."""

    async def invoke(context: ToolContext[Any], arguments: str) -> str:
        return await tool.text(arguments)

    return FunctionTool(
        name=tool.name,
        description=tool.description,
        params_json_schema=tool.input_schema,
        on_invoke_tool=invoke,
        strict_json_schema=False,
    )


class FakeModel(Model):
    """A model that asks for the forecast of Rome, and then answers with it."""

    async def get_response(
        self, system_instructions: Any, input: Any, *rest: Any, **options: Any
    ) -> ModelResponse:
        outputs = [item["output"] for item in input if isinstance(item, dict) and "output" in item]
        if outputs:
            text = ResponseOutputText(
                type="output_text", text=f"Take sunglasses. {outputs[-1]}", annotations=[]
            )
            answer: Any = ResponseOutputMessage(
                id="message-1", type="message", role="assistant", status="completed", content=[text]
            )
        else:
            answer = ResponseFunctionToolCall(
                type="function_call",
                call_id="call-1",
                name="weather_forecast",
                arguments='{"city": "Rome"}',
            )
        return ModelResponse(output=[answer], usage=Usage(), response_id=None)

    def stream_response(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("the fake model does not stream")


def add_assistant(mesh: AgentMesh, model: Model) -> None:
    """Serves an agent as `assistant.openai`."""

    @mesh.agent(AgentSpec(name="assistant.openai", description="Answers questions about trips."))
    async def assistant(question: str) -> str:
        tools = [function_tool(tool) for tool in await mesh.tools(channel="weather")]
        agent = Agent(name="guide", instructions="Prepare travellers.", model=model, tools=tools)
        result = await Runner.run(agent, question, run_config=RunConfig(tracing_disabled=True))
        return str(result.final_output)


async def main() -> None:
    async with AgentMesh.local() as mesh:
        add_weather(mesh)
        add_assistant(mesh, FakeModel())
        print(await mesh.call("assistant.openai", "What do I need in Rome?"))


if __name__ == "__main__":
    asyncio.run(main())
