"""Specs, entries, contracts, notices and usage."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from openagentmesh import (
    AgentContract,
    AgentSpec,
    CatalogEntry,
    DeathNotice,
    KVEntry,
    LogEvent,
    MeshMessage,
    ObserveConfig,
    Usage,
)

DOCUMENT = {
    "name": "nlp.summarizer",
    "description": "Summarises a text.",
    "version": "1.0.0",
    "capabilities": {"streaming": False, "invocable": True},
    "skills": [
        {
            "id": "nlp.summarizer",
            "name": "nlp.summarizer",
            "description": "Summarises a text.",
            "tags": ["text"],
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
            "outputSchema": {
                "type": "object",
                "properties": {"summary": {"type": "string"}},
                "required": ["summary"],
            },
        }
    ],
    "x-agentmesh": {
        "subject": "mesh.agent.nlp.summarizer",
        "tags": ["text"],
        "registered_at": "2026-11-22T04:35:00.854160+00:00",
    },
}


def contract(**changes: Any) -> AgentContract:
    return AgentContract.from_registry_json(json.dumps({**DOCUMENT, **changes}))


def test_spec_has_the_documented_defaults() -> None:
    spec = AgentSpec(name="echo", description="Echoes.")
    assert (spec.tags, spec.version) == ([], "0.1.0")


def test_spec_ignores_unknown_fields() -> None:
    spec = AgentSpec.model_validate({"name": "a", "description": "d", "channel": "c"})
    assert spec.name == "a"


@pytest.mark.parametrize("name", ["echo", "finance.risk.scorer", "a-b_c.D9"])
def test_valid_name_is_accepted(name: str) -> None:
    assert AgentSpec(name=name, description="d").name == name


@pytest.mark.parametrize("name", ["", ".", "a.", "a..b", "a b", "a.*", "a.>", "ä", "a\n"])
def test_invalid_name_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="agent name"):
        AgentSpec(name=name, description="d")


def test_entry_has_the_documented_defaults() -> None:
    entry = CatalogEntry(name="a", description="d")
    assert entry.model_dump() == {
        "name": "a",
        "description": "d",
        "version": "0.1.0",
        "tags": [],
        "invocable": True,
        "streaming": False,
    }


def test_contract_of_a_document_has_flat_fields() -> None:
    read = contract()
    assert read.subject == "mesh.agent.nlp.summarizer"
    assert read.tags == ["text"]
    assert read.input_schema == {"type": "object", "properties": {"text": {"type": "string"}}}
    assert read.chunk_schema is None
    assert read.mcp is None
    assert read.registered_at == datetime(2026, 11, 22, 4, 35, 0, 854160, timezone.utc)


def test_contract_written_and_read_is_the_same() -> None:
    read = contract()
    assert json.loads(read.to_registry_json()) == DOCUMENT
    assert AgentContract.from_registry_json(read.to_registry_json()) == read


def test_contract_of_a_minimal_document_has_defaults() -> None:
    read = AgentContract.from_registry_json('{"name": "a", "description": "d"}')
    assert (read.invocable, read.streaming, read.subject) == (True, False, "mesh.agent.a")


@pytest.mark.parametrize(
    "document", ["[]", "1", "{}", "nonsense", '{"name": 1, "description": "d"}']
)
def test_contract_of_an_invalid_document_is_a_value_error(document: str) -> None:
    with pytest.raises(ValueError):
        AgentContract.from_registry_json(document)


def test_contract_projects_to_its_entry() -> None:
    assert contract().to_catalog_entry() == CatalogEntry(
        name="nlp.summarizer", description="Summarises a text.", version="1.0.0", tags=["text"]
    )


def test_contract_makes_tools_of_each_provider() -> None:
    read = contract()
    neutral = read.to_tool_schema()
    assert sorted(neutral) == ["description", "input_schema", "name"]
    assert neutral["name"] == "nlp_summarizer"
    assert neutral["description"] == "Summarises a text.\nReturns: summary."
    assert neutral["input_schema"]["properties"] == {"text": {"type": "string"}}
    assert read.to_anthropic_tool()["input_schema"] == neutral["input_schema"]
    chat = read.to_openai_tool()
    assert (chat["type"], chat["function"]["name"]) == ("function", "nlp_summarizer")
    responses = read.to_openai_tool(api="responses", strict=True)
    assert responses["strict"] is True
    assert responses["parameters"]["additionalProperties"] is False


def test_tool_of_another_api_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="api"):
        contract().to_openai_tool(api="completions")  # type: ignore[arg-type]


@pytest.mark.parametrize(("streaming", "shape"), [(True, "publisher"), (False, "background task")])
def test_tool_of_an_agent_that_is_not_invocable_is_a_value_error(
    streaming: bool, shape: str
) -> None:
    read = contract(capabilities={"streaming": streaming, "invocable": False})
    for make in (
        read.to_tool_schema,
        read.to_openai_tool,
        read.to_anthropic_tool,
        read.to_agent_card,
    ):
        with pytest.raises(ValueError, match=f"is not invocable \\({shape}\\)"):
            make()


def test_contract_makes_an_agent_card() -> None:
    card = contract().to_agent_card("https://example.org/a2a")
    assert card["name"] == "nlp.summarizer"
    assert "https://example.org/a2a" in json.dumps(card)


def test_usages_add_up() -> None:
    total = Usage(input_tokens=1, model="a") + Usage(input_tokens=2, output_tokens=3, model="b")
    assert total == Usage(input_tokens=3, output_tokens=3, model="b")
    assert (
        Usage(estimated_cost_usd=0.5) + Usage(estimated_cost_usd=0.25)
    ).estimated_cost_usd == 0.75


def test_notices_are_read_from_json() -> None:
    notice = DeathNotice.model_validate(
        {
            "agent": "a",
            "reason": "disconnect",
            "detected_at": "2026-07-18T00:27:27.947596+00:00",
            "instance_id": "f9",
            "agents": ["a"],
        }
    )
    assert (notice.agent, notice.reason, notice.instance_id) == ("a", "disconnect", "f9")
    event = LogEvent.model_validate(
        {
            "timestamp": "2026-07-18T14:30:00.123456+00:00",
            "level": "warn",
            "agent": "a",
            "event": "request_failed",
            "request_id": "r",
            "message": "boom",
            "data": {"code": "handler_error"},
        }
    )
    assert (event.event, event.data) == ("request_failed", {"code": "handler_error"})


def test_observe_config_has_defaults_and_refuses_other_levels() -> None:
    assert ObserveConfig().model_dump() == {"log_level": "info", "source": "default"}
    with pytest.raises(ValidationError):
        ObserveConfig(log_level="loud")  # type: ignore[arg-type]


def test_entries_and_messages_are_plain_values() -> None:
    assert KVEntry("k", b"v", 3).operation == "PUT"
    assert MeshMessage("a.b", b"x").headers == {}
