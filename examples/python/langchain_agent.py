"""A LangChain agent on the mesh, with the mesh's agents as tools."""

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import BaseTool, StructuredTool

from openagentmesh import AgentMesh, AgentSpec, MeshTool
from weather import add_weather


def langchain_tool(tool: MeshTool) -> BaseTool:
    """A mesh tool as a LangChain tool."""
    return StructuredTool(
        name=tool.name,
        description=tool.description,
        args_schema=tool.input_schema,
        coroutine=tool,
        func=tool.call_sync,
    )


class FakeModel(GenericFakeChatModel):
    """LangChain's fake model, which takes tools and ignores them."""

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> "FakeModel":
        return self


def fake_model() -> BaseChatModel:
    """A model that asks for the forecast of Rome, and then answers. A real one: `init_chat_model(…)`."""
    call = ToolCall(name="weather_forecast", args={"city": "Rome"}, id="call-1")
    answers = [AIMessage("", tool_calls=[call]), AIMessage("Take sunglasses to Rome.")]
    return FakeModel(messages=iter(answers))


def add_assistant(mesh: AgentMesh, model: BaseChatModel) -> None:
    """Serves a LangChain agent as `assistant.langchain`."""

    @mesh.agent(AgentSpec(name="assistant.langchain", description="Answers questions about trips."))
    async def assistant(question: str) -> list[str]:
        tools = [langchain_tool(tool) for tool in await mesh.tools(channel="weather")]
        agent = create_agent(model, tools)
        state = await agent.ainvoke({"messages": [{"role": "user", "content": question}]})
        return [message.text for message in state["messages"]]


async def main() -> None:
    async with AgentMesh.local() as mesh:
        add_weather(mesh)
        add_assistant(mesh, fake_model())
        for message in await mesh.call("assistant.langchain", "What do I need in Rome?"):
            print(message)


if __name__ == "__main__":
    asyncio.run(main())
