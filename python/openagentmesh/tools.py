"""Agents as tools for language models: `mesh.tools()`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from ._bridge import core as _core
from .errors import MeshError, NotFound
from .models import AgentContract
from .tool_model import model_of_schema

if TYPE_CHECKING:
    from .mesh import AgentMesh

MAX_CHUNKS = 10_000
"""Limit of the chunks that a tool collects of a stream."""


class MeshTool:
    """An agent as a tool: a callable with a name, a description and the JSON Schema of its arguments.

    Call it with keyword arguments, or with one dictionary. The result is the output of the agent; for a streamer, the
    list of its chunks.

    ```python
    (tool,) = await mesh.tools(names=["text.count"])
    print(tool.name, tool.description, tool.input_schema)
    print(await tool(text="to be"))
    ```
    """

    def __init__(self, mesh: AgentMesh, contract: AgentContract, name: str) -> None:
        schema = contract.to_tool_schema()
        self._mesh = mesh
        self._document = contract.to_registry_json().encode()
        self.contract = contract
        """The contract of the agent."""
        self.agent = contract.name
        """The name of the agent."""
        self.name = self.__name__ = name
        """The name of the tool: that of the agent in the characters that model providers allow."""
        self.description = self.__doc__ = str(schema["description"])
        """The description for the model."""
        self.input_schema: dict[str, Any] = schema["input_schema"]
        """The JSON Schema of the arguments, an object. An input of another type is its property `input`."""
        self.__signature__ = _signature(self.input_schema)
        self._model: type[BaseModel] | None = None

    def __repr__(self) -> str:
        return f"<MeshTool {self.name} agent={self.agent}>"

    @property
    def input_model(self) -> type[BaseModel]:
        """A pydantic model of the arguments, for frameworks that want one. Its JSON Schema is `input_schema`."""
        if self._model is None:
            self._model = model_of_schema(self.name, self.input_schema)
        return self._model

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Calls the agent. Raises as `AgentMesh.call` does."""
        return await self.invoke(_arguments(arguments, named))

    def call_sync(self, *arguments: Any, **named: Any) -> Any:
        """As calling the tool, for synchronous code: blocks, by `mesh.sync`."""
        given = _arguments(arguments, named)
        return self._mesh.sync._run(lambda: self.invoke(given))

    async def invoke(self, arguments: str | bytes | Mapping[str, Any] | None = None) -> Any:
        """Calls the agent with arguments as a model gives them: JSON text, or a dictionary.

        Raises `InvalidInput` if the text is not a JSON object, and as `AgentMesh.call` does.
        """
        if isinstance(arguments, (str, bytes)):
            text = arguments.encode() if isinstance(arguments, str) else arguments
        else:
            text = json.dumps(dict(arguments or {}), default=_plain).encode()
        payload = _core.tool_payload(self._document, text)
        if self.contract.input_schema is None:
            payload = b""
        if self.contract.streaming:
            return await self._collect(payload)
        return await self._mesh.call(self.agent, payload)

    async def text(self, arguments: str | bytes | Mapping[str, Any] | None = None) -> str:
        """As `invoke`, but the result is a text for a model: the output as JSON, or the code and message of an error."""
        try:
            result = await self.invoke(arguments)
        except MeshError as error:
            details = f" {json.dumps(error.details, default=str)}" if error.details else ""
            return f"error {error.code}: {error.message}{details}"
        return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)

    async def _collect(self, payload: bytes) -> list[Any]:
        chunks: list[Any] = []
        async for chunk in self._mesh.stream(self.agent, payload):
            chunks.append(chunk)
            if len(chunks) > MAX_CHUNKS:
                raise MeshError(
                    "payload_too_large",
                    f"the stream of agent '{self.agent}' has more than {MAX_CHUNKS} chunks: a tool returns all at once",
                    self.agent,
                )
        return chunks


class Toolset(list[MeshTool]):
    """The tools of `mesh.tools()`, a list, with their forms for model providers."""

    def get(self, name: str) -> MeshTool | None:
        """The tool of a name, or `None`."""
        return next((tool for tool in self if tool.name == name), None)

    async def call(
        self, name: str, arguments: str | bytes | Mapping[str, Any] | None = None
    ) -> str:
        """Makes the call that a model asks for, and returns a text for the model (see `MeshTool.text`).

        Raises `NotFound` if no tool has this name.
        """
        tool = self.get(name)
        if tool is None:
            names = ", ".join(tool.name for tool in self[:50])
            raise NotFound(f"tool '{name}' not found: the tools are {names or 'none'}")
        return await tool.text(arguments)

    def to_openai(
        self, *, api: Literal["chat", "responses"] = "chat", strict: bool = False
    ) -> list[dict[str, Any]]:
        """The definitions for OpenAI's Chat Completions or Responses API."""
        tools = []
        for tool in self:
            definition = tool.contract.to_openai_tool(api=api, strict=strict)
            (definition["function"] if api == "chat" else definition)["name"] = tool.name
            tools.append(definition)
        return tools

    def to_anthropic(self) -> list[dict[str, Any]]:
        """The definitions for Anthropic's Messages API."""
        return [{**tool.contract.to_anthropic_tool(), "name": tool.name} for tool in self]


async def load_tools(
    mesh: AgentMesh,
    channel: str | None,
    tags: Sequence[str] | None,
    names: Sequence[str] | None,
) -> Toolset:
    """The tools of the invocable agents that match; those of `names` in that order."""
    if names is not None:
        contracts = [await mesh.contract(name) for name in names]
    else:
        contracts = sorted(await mesh.discover(channel), key=lambda contract: contract.name)
        wanted = {tags} if isinstance(tags, str) else set(tags or ())
        contracts = [c for c in contracts if c.invocable and wanted <= set(c.tags)]
    tool_names = _core.tool_names([contract.name for contract in contracts])
    return Toolset(MeshTool(mesh, *pair) for pair in zip(contracts, tool_names))


def _arguments(arguments: Sequence[Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    if not arguments:
        return named
    if len(arguments) > 1 or named:
        raise TypeError("a tool takes keyword arguments or one dictionary, not both")
    given = arguments[0]
    if isinstance(given, BaseModel):
        return given.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(given, Mapping):
        return given
    return {"input": given}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"invalid argument of type {type(value).__name__}: JSON cannot express it")


def _signature(schema: Mapping[str, Any]) -> inspect.Signature:
    """The properties as keyword parameters, for frameworks that inspect functions."""
    required = set(schema.get("required", ()))
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if name in required else None,
        )
        for name in _identifiers(schema.get("properties", {}))
    ]
    return inspect.Signature(parameters)


def _identifiers(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.isidentifier()]
