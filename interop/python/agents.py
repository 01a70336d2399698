"""Agents of the peer, and the types that they share with Rust."""

import asyncio
from collections import defaultdict
from enum import Enum

from openagentmesh import AgentSpec, MeshError
from pydantic import BaseModel, Field


class Tone(str, Enum):
    formal = "formal"
    friendly = "friendly"


class Origin(BaseModel):
    """The origin of a text."""

    author: str = Field(description="The author.")
    year: int | None = None


class Summarize(BaseModel):
    """A text to be summarised."""

    text: str = Field(min_length=1, description="The text to summarise.")
    max_words: int | None = Field(
        default=10, ge=0, le=100, description="The number of words to keep."
    )
    tones: list[Tone] = Field(description="The allowed tones.")
    origin: Origin = Field(description="The origin of the text.")


class Summary(BaseModel):
    """The summary of a text."""

    summary: str
    words: int = Field(ge=0)


class Gauge(BaseModel):
    """One field of each kind."""

    tone: Tone | None = None
    origin: Origin | None = Field(default=None, description="The origin, if known.")
    origins: list[Origin] = []
    labels: dict[str, str]
    ratio: float = Field(gt=0)
    exact: bool = False
    code: str | None = Field(default=None, pattern="^[A-Z]+$")
    pair: tuple[int, str]


class Translate(BaseModel):
    """A plain type with every keyword that strict tools refuse."""

    text: str = Field(min_length=1, max_length=1000, description="The text to translate.")
    language: str = Field(pattern="^[a-z]{2}$")
    limit: int = Field(default=10, ge=1, le=100)
    keep: list[str] = Field(default=[], max_length=5)


class Translation(BaseModel):
    text: str
    language: str


class Piece(BaseModel):
    index: int
    text: str


Text = str
Numbers = list[int]


async def summarize(request: Summarize) -> Summary:
    words = request.text.split()[: request.max_words]
    return Summary(summary=" ".join(words), words=len(words))


async def translate(request: Translate) -> Translation:
    return Translation(text=request.text.upper(), language=request.language)


async def echo(message: str) -> str:
    return f"Echo: {message}"


async def noon() -> str:
    return "12:00"


async def swallow(food: list[int]) -> None:
    pass


async def fragile(how: str) -> str:
    if how == "error":
        raise ValueError("told to fail")
    if how == "mesh error":
        raise MeshError(code="rate_limited", message="come back later", details={"seconds": 5})
    return how


async def pieces(text: str) -> Piece:
    for index, word in enumerate(text.split()):
        yield Piece(index=index, text=word)


async def ticker() -> Piece:
    for index in range(1_000_000):
        yield Piece(index=index, text="tick")
        await asyncio.sleep(60)


async def sentry() -> None:
    await asyncio.Event().wait()


async def numbers(count: int) -> int:
    NOTES.put_nowait(count)
    for number in range(count):
        yield number
    NOTES.put_nowait("all numbers told")


async def stumble(how: str) -> Piece:
    for index in range(2):
        yield Piece(index=index, text="before")
    await fragile(how)


async def halt(count: int) -> int:
    for number in range(count):
        yield number
    await asyncio.Event().wait()


async def note(text: str) -> int:
    NOTES.put_nowait(text)
    return len(text)


# Inputs of the agents above, until the test reads them.
NOTES = asyncio.Queue()


async def noted(count):
    return [await NOTES.get() for _ in range(count)]


# Pending events of each publisher, by name.
FEEDS = defaultdict(asyncio.Queue)


async def emit(name, texts):
    for text in texts:
        FEEDS[name].put_nowait(text)
    await FEEDS[name].join()


def finish(name, error):
    FEEDS[name].put_nowait(ValueError(error) if error else None)


def publisher(name):
    async def publish() -> Piece:
        index = 0
        while (text := await FEEDS[name].get()) is not None:
            if isinstance(text, Exception):
                raise text
            yield Piece(index=index, text=text)
            # The SDK requests the next event after it has published this one.
            FEEDS[name].task_done()
            index += 1

    return publish


# name: function, description, tags, version
GALLERY = {
    "nlp.summarizer": (summarize, "Summarises a text.", ["text", "summarization"], "1.2.3"),
    "translate": (translate, "Translates a text.", [], "0.1.0"),
    "echo": (echo, "Echoes a message back.", [], "0.1.0"),
    "noon": (noon, "Tells the time that every clock shows twice a day.", [], "0.1.0"),
    "swallow": (swallow, "Takes something and gives nothing.", [], "0.1.0"),
    "fragile": (fragile, "Fails in the given way.", [], "0.1.0"),
    "nlp.pieces": (pieces, "Takes a text apart.", ["text"], "0.1.0"),
    "ticker": (ticker, "Ticks.", [], "0.1.0"),
    "sentry": (sentry, "Watches.", [], "0.1.0"),
    "numbers": (numbers, "Counts.", [], "0.1.0"),
    "stumble": (stumble, "Streams two pieces and fails in the given way.", [], "0.1.0"),
    "halt": (halt, "Counts and does not end.", [], "0.1.0"),
    "note": (note, "Records its input.", [], "0.1.0"),
    "news.local": (publisher("news.local"), "Publishes the events of the test.", [], "0.1.0"),
    "news.world": (publisher("news.world"), "Publishes the events of the test.", [], "0.1.0"),
}

HAS_CHANNELS = "channel" in AgentSpec.model_fields


def own_name(name):
    """The name that the SDK uses for its own agent."""
    return name.rpartition(".")[2] if HAS_CHANNELS else name


def spec(name, **about):
    if HAS_CHANNELS:
        channel = name.rpartition(".")[0] or None
        return AgentSpec(name=own_name(name), channel=channel, **about)
    return AgentSpec(name=name, **about)


def add(mesh, name):
    function, description, tags, version = GALLERY[name]
    about = spec(name, description=description, tags=tags, version=version)
    mesh.agent(about)(function)


def add_named(mesh, name):
    async def tell() -> str:
        return name

    mesh.agent(spec(name, description="Returns its name."))(tell)
