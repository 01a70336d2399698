"""The models of the mesh: specs, catalog entries, contracts, notices and usage."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


def check_name(name: str) -> str:
    """Returns `name` if it is an agent name: segments of letters, digits, `_` and `-`, separated by dots.

    Raises `ValueError` otherwise.
    """
    if not name:
        raise ValueError(
            "agent name must not be empty: segments of letters, digits, _ and - are allowed"
        )
    for segment in name.split("."):
        if not _SEGMENT.fullmatch(segment):
            raise ValueError(
                f"agent name '{name}' has invalid segment '{segment}' (allowed: ^[a-zA-Z0-9_-]+$)"
            )
    return name


class AgentSpec(BaseModel):
    """The description of an agent, for `@mesh.agent(spec)`.

    `name` is dotted (`"finance.risk.scorer"`); the segments before the last are its channel. `description` is read by
    people and by language models. Unknown fields are ignored.

    ```python
    spec = AgentSpec(name="echo", description="Echoes a message back.", tags=["text"])
    ```
    """

    name: str
    description: str
    tags: list[str] = Field(default_factory=list)
    version: str = "0.1.0"

    @field_validator("name")
    @classmethod
    def _name_is_valid(cls, name: str) -> str:
        return check_name(name)


class CatalogEntry(BaseModel):
    """An agent in the catalog, as `mesh.catalog()` returns it."""

    name: str
    description: str
    version: str = "0.1.0"
    tags: list[str] = Field(default_factory=list)
    invocable: bool = True
    streaming: bool = False


class AgentContract(CatalogEntry):
    """The contract of an agent: its description, its shape and its JSON Schemas.

    The registry stores it as an A2A agent card with the block `x-agentmesh`; here its fields are flat.
    """

    capabilities: dict[str, Any] = Field(default_factory=dict)
    skills: list[dict[str, Any]] = Field(default_factory=list)
    subject: str = ""
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    chunk_schema: dict[str, Any] | None = None
    mcp: bool | None = None
    registered_at: datetime = Field(default_factory=lambda: datetime.now(timezone.utc))

    @classmethod
    def from_registry_json(cls, document: str | bytes) -> AgentContract:
        """Reads a document of the registry. Raises `ValueError` if it is none."""
        card = json.loads(document)
        if not isinstance(card, dict):
            raise ValueError("invalid contract: a JSON object is expected")
        extension = _object(card.get("x-agentmesh"))
        capabilities = _object(card.get("capabilities"))
        skills = [skill for skill in card.get("skills") or [] if isinstance(skill, dict)]
        skill = skills[0] if skills else {}
        fields = {
            "name": card.get("name"),
            "description": card.get("description"),
            "version": card.get("version", "0.1.0"),
            "tags": extension.get("tags", skill.get("tags", [])),
            "invocable": capabilities.get("invocable", True),
            "streaming": capabilities.get("streaming", False),
            "capabilities": capabilities,
            "skills": skills,
            "subject": extension.get("subject") or f"mesh.agent.{card.get('name')}",
            "input_schema": _schema(skill.get("inputSchema")),
            "output_schema": _schema(skill.get("outputSchema")),
            "chunk_schema": _schema(extension.get("chunk_schema")),
            "mcp": extension.get("mcp"),
        }
        if extension.get("registered_at"):
            fields["registered_at"] = extension["registered_at"]
        return cls.model_validate(fields)

    def to_registry_json(self) -> str:
        """The contract as the registry stores it: an A2A agent card with the block `x-agentmesh`."""
        skill: dict[str, Any] = {
            "id": self.name,
            "name": self.name,
            "description": self.description,
            "tags": self.tags,
        }
        if self.input_schema is not None:
            skill["inputSchema"] = self.input_schema
        if self.output_schema is not None:
            skill["outputSchema"] = self.output_schema
        extension: dict[str, Any] = {
            "subject": self.subject or f"mesh.agent.{self.name}",
            "tags": self.tags,
            "registered_at": self.registered_at.isoformat(),
        }
        if self.chunk_schema is not None:
            extension["chunk_schema"] = self.chunk_schema
        if self.mcp is not None:
            extension["mcp"] = self.mcp
        card = {
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "capabilities": {
                **self.capabilities,
                "streaming": self.streaming,
                "invocable": self.invocable,
            },
            "skills": [skill],
            "x-agentmesh": extension,
        }
        return json.dumps(card)

    def to_catalog_entry(self) -> CatalogEntry:
        """The entry of the catalog for this contract."""
        return CatalogEntry(
            name=self.name,
            description=self.description,
            version=self.version,
            tags=self.tags,
            invocable=self.invocable,
            streaming=self.streaming,
        )

    def to_tool_schema(self) -> dict[str, Any]:
        """The agent as a tool without the form of a provider: `name`, `description` and `input_schema`.

        Raises `ValueError` if the agent is not invocable.
        """
        return self._tool("neutral")

    def to_anthropic_tool(self) -> dict[str, Any]:
        """The agent as a tool of Anthropic's Messages API. Raises `ValueError` if the agent is not invocable."""
        return self._tool("anthropic")

    def to_openai_tool(
        self, *, api: Literal["chat", "responses"] = "chat", strict: bool = False
    ) -> dict[str, Any]:
        """The agent as a tool of OpenAI's Chat Completions or Responses API.

        `strict` asks for the strict form, which restricts what the model may send. Raises `ValueError` if the agent is
        not invocable, if its schema has no strict form, or for another `api`.
        """
        if api not in ("chat", "responses"):
            raise ValueError(f"invalid api '{api}': 'chat' and 'responses' are allowed")
        return self._tool("openai_chat" if api == "chat" else "openai_responses", strict)

    def to_agent_card(self, url: str | None = None) -> dict[str, Any]:
        """The agent as an A2A agent card, whose endpoint is `url`.

        Raises `ValueError` if the agent is not invocable.
        """
        from ._bridge import core as _core

        self._require_invocable()
        card: dict[str, Any] = _converted(_core.agent_card, self.to_registry_json().encode(), url)
        return card

    def _tool(
        self,
        kind: Literal["neutral", "anthropic", "openai_chat", "openai_responses"],
        strict: bool = False,
    ) -> dict[str, Any]:
        from ._bridge import core as _core

        self._require_invocable()
        document = self.to_registry_json().encode()
        tool: dict[str, Any] = _converted(_core.tool_definition, document, kind, strict)
        return tool

    def _require_invocable(self) -> None:
        if not self.invocable:
            shape = "publisher" if self.streaming else "background task"
            raise ValueError(f"Agent '{self.name}' is not invocable ({shape})")


class DeathNotice(BaseModel):
    """The end of an agent, as published on `mesh.death.{name}`.

    `reason` is `"disconnect"` or `"graceful_shutdown"`.
    """

    model_config = ConfigDict(extra="ignore")

    agent: str
    reason: str
    detected_at: datetime
    instance_id: str = ""


class LogEvent(BaseModel):
    """A log event of a host, as published on `mesh.logs.{name}`."""

    timestamp: datetime
    level: str
    agent: str
    event: str
    request_id: str | None = None
    message: str = ""
    data: dict[str, Any] = Field(default_factory=dict)


class ObserveConfig(BaseModel):
    """The log level of an agent. `source` says where it is set: `"agent"`, `"global"` or `"default"`."""

    log_level: Literal["debug", "info", "warn", "error", "off"] = "info"
    source: Literal["agent", "global", "default"] = "default"


class Usage(BaseModel):
    """Tokens and costs of a request, for `report_usage`. Every field is optional."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    model: str | None = None
    estimated_cost_usd: float | None = None

    def __add__(self, other: Usage) -> Usage:
        """The sum of the numbers. The model is that of the later report, if it has one."""
        return Usage(
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            total_tokens=_sum(self.total_tokens, other.total_tokens),
            model=other.model if other.model is not None else self.model,
            estimated_cost_usd=_sum(self.estimated_cost_usd, other.estimated_cost_usd),
        )


NumberT = TypeVar("NumberT", int, float)


def _sum(one: NumberT | None, other: NumberT | None) -> NumberT | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _schema(value: Any) -> dict[str, Any] | None:
    if value is True:
        return {}
    return value if isinstance(value, dict) else None


def _converted(convert: Any, *arguments: Any) -> Any:
    from .errors import MeshError

    try:
        return json.loads(convert(*arguments))
    except MeshError as error:
        raise ValueError(error.message) from error
