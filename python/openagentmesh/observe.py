"""Notices and log events of a mesh: `mesh.observe`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NoReturn, TypeVar

from .sources import not_available

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .mesh import AgentMesh
    from .models import DeathNotice, LogEvent, ObserveConfig

ModelT = TypeVar("ModelT", bound="BaseModel")

_LEVELS = ("debug", "info", "warn", "error")
_REMEDY = "use the command 'oam observe' of the published SDK"


class Observer:
    """The log events and death notices of a mesh.

    Hosts of the published SDK publish log events. Setting log levels is not available yet.
    """

    def __init__(self, mesh: AgentMesh) -> None:
        self._mesh = mesh

    async def logs(
        self, agent: str | None = None, *, level: str = "debug"
    ) -> AsyncIterator[LogEvent]:
        """The log events of an agent or of all agents, from `level` upwards.

        Events that are not valid are skipped. Raises `ValueError` for an unknown level.

        ```python
        async for event in mesh.observe.logs(level="warn"):
            print(event.agent, event.event, event.message)
        ```
        """
        if level not in _LEVELS:
            raise ValueError(f"invalid level '{level}': {', '.join(_LEVELS)} are allowed")
        minimum = _LEVELS.index(level)
        from .models import LogEvent

        async for event in self._follow("mesh.logs", agent, LogEvent):
            if event.level in _LEVELS[minimum:]:
                yield event

    async def deaths(self, agent: str | None = None) -> AsyncIterator[DeathNotice]:
        """The death notices of an agent or of all agents. Notices that are not valid are skipped."""
        from .models import DeathNotice

        async for notice in self._follow("mesh.death", agent, DeathNotice):
            yield notice

    async def get(self, agent: str) -> ObserveConfig:
        """The log level of an agent. Not available yet: raises `NotImplementedError`."""
        self._unavailable("get")

    async def set(self, agent: str, *, log_level: str) -> None:
        """Sets the log level of an agent. Not available yet: raises `NotImplementedError`."""
        self._unavailable("set")

    async def set_global(self, *, log_level: str) -> None:
        """Sets the log level of all agents. Not available yet: raises `NotImplementedError`."""
        self._unavailable("set_global")

    def _unavailable(self, verb: str) -> NoReturn:
        not_available(f"observe.{verb}()", _REMEDY)

    async def _follow(
        self, root: str, agent: str | None, model: type[ModelT]
    ) -> AsyncIterator[ModelT]:
        from pydantic import ValidationError

        subject = f"{root}.{agent}" if agent else f"{root}.>"
        async for event in self._mesh.subscribe(subject=subject):
            try:
                yield model.model_validate(event)
            except ValidationError:
                continue
