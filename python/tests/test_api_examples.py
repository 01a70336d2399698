"""The examples of `examples/python`: each serves an agent of a framework, which uses agents as tools."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api_support import on_loop
from conftest import REPOSITORY
from openagentmesh import AgentMesh, AgentSpec, MeshError

EXAMPLES = REPOSITORY / "examples" / "python"
TIMEOUT = 240.0

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.exists(), reason="outside of the repository"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def served(mesh: AgentMesh) -> list[str]:
    """Counts the runs of the weather's agents."""
    runs: list[str] = []
    for name in ("weather.forecast", "weather.cities"):
        agent = mesh._agents[name]
        start = agent.start

        def counted(request: Any, name: str = name, start: Any = start) -> None:
            runs.append(name)
            start(request)

        agent.start = counted  # type: ignore[method-assign]
    return runs


QUESTION = "What do I need in Rome?"
FORECAST = "Rome: sunny, 21 degrees celsius"


@on_loop
async def test_langchain_agent_uses_the_agents_of_the_mesh(example: Any) -> None:
    pytest.importorskip("langchain")
    weather, langchain = example("weather"), example("langchain_agent")
    async with AgentMesh.local() as mesh:
        weather.add_weather(mesh)
        runs = served(mesh)
        langchain.add_assistant(mesh, langchain.fake_model())
        messages = await mesh.call("assistant.langchain", QUESTION)
        assert messages == [QUESTION, "", FORECAST, "Take sunglasses to Rome."]
        assert runs == ["weather.forecast"]
        tools = [langchain.langchain_tool(tool) for tool in await mesh.tools("weather")]
        assert await asyncio.to_thread(tools[1].invoke, {"city": "Rome"}) == FORECAST
        assert await tools[0].ainvoke({}) == ["Lisbon", "Rome"]


@on_loop
async def test_crew_uses_the_agents_of_the_mesh(example: Any) -> None:
    pytest.importorskip("crewai")
    weather, crewai = example("weather"), example("crewai_crew")
    async with AgentMesh.local() as mesh:
        weather.add_weather(mesh)
        runs = served(mesh)
        crewai.add_crew(mesh, crewai.FakeModel(model="fake"))
        answer = await mesh.call("assistant.crewai", QUESTION, timeout=TIMEOUT)
        assert answer == f"Take sunglasses. {FORECAST}"
        assert runs == ["weather.forecast"]


@on_loop
async def test_pydantic_ai_agent_uses_the_agents_of_the_mesh(example: Any) -> None:
    pytest.importorskip("pydantic_ai")
    weather, pydantic_ai = example("weather"), example("pydantic_ai_agent")
    models = importlib.import_module("pydantic_ai.models.test")
    async with AgentMesh.local() as mesh:
        weather.add_weather(mesh)
        runs = served(mesh)
        pydantic_ai.add_assistant(mesh, models.TestModel())
        answer = json.loads(await mesh.call("assistant.pydantic_ai", QUESTION))
        assert answer["weather_cities"] == ["Lisbon", "Rome"]
        assert "sunny, 21 degrees celsius" in answer["weather_forecast"]
        assert sorted(runs) == ["weather.cities", "weather.forecast"]


@on_loop
async def test_openai_agent_uses_the_agents_of_the_mesh(example: Any) -> None:
    pytest.importorskip("agents")
    weather, openai = example("weather"), example("openai_agents")
    async with AgentMesh.local() as mesh:
        weather.add_weather(mesh)
        runs = served(mesh)
        openai.add_assistant(mesh, openai.FakeModel())
        answer = await mesh.call("assistant.openai", QUESTION)
        assert answer == f"Take sunglasses. {FORECAST}"
        assert runs == ["weather.forecast"]


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("langchain_agent", "langchain"),
        ("crewai_crew", "crewai"),
        ("pydantic_ai_agent", "pydantic_ai"),
        ("openai_agents", "agents"),
    ],
)
def test_example_runs_as_a_program(program: str, package: str) -> None:
    pytest.importorskip(package)
    ended = subprocess.run(
        [sys.executable, f"{program}.py"],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert ended.returncode == 0, ended.stderr
    assert "sunny" in ended.stdout


def test_notebook_runs(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    errors = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert errors == []


def test_tests_of_the_book_pass(tmp_path: Path) -> None:
    tests = str(EXAMPLES / "test_orders.py")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


@on_loop
async def test_summarizer_calls_another_agent(example: Any) -> None:
    summarizer = example("summarizer")
    async with AgentMesh.local() as mesh:

        @mesh.agent(AgentSpec(name="text.count", description="Counts the words of a text."))
        async def count(text: summarizer.Text) -> int:
            if not text.text.split():
                raise MeshError("empty_text", "the text has no words")
            return len(text.text.split())

        summarizer.mesh._url = mesh.url
        async with summarizer.mesh:
            summary = await mesh.call("text.summarize", {"text": "to be or not"})
            assert summary == {"summary": "to be or", "words": 4}
            empty = await mesh.call("text.summarize", {"text": " "})
            assert empty == {"summary": "nothing", "words": 0}
