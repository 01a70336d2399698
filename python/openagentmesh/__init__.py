"""OpenAgentMesh: agents are plain functions that find and call each other over NATS.

```python
from openagentmesh import AgentMesh, AgentSpec

mesh = AgentMesh()

@mesh.agent(AgentSpec(name="echo", description="Echoes a message back."))
async def echo(message: str) -> str:
    return f"Echo: {message}"

mesh.run()
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._bridge import core as _core
from .context import RequestContext, current_request, report_usage
from .entries import KVEntry, MeshMessage
from .errors import (
    AgentDied,
    ChunkSequenceError,
    ConnectionDenied,
    ConnectionFailed,
    HandlerError,
    InvalidInput,
    InvocationMismatch,
    KeyNotFoundError,
    KVKeyExists,
    KVWrongRevision,
    MeshError,
    MeshTimeout,
    NotAvailable,
    NotConnectedError,
    NotFound,
    ObjectNotFoundError,
    Overloaded,
    PayloadTooLarge,
    make_error,
)
from .mesh import AgentMesh
from .sources import Condition, KVCondition, KVSource, SubjectCondition, SubjectSource

if TYPE_CHECKING:
    from .models import (
        AgentContract,
        AgentSpec,
        CatalogEntry,
        DeathNotice,
        LogEvent,
        ObserveConfig,
        Usage,
    )
    from .sync import SyncMesh
    from .tools import MeshTool, Toolset

__version__: str = _core.__version__

_core.set_error_factory(make_error)

__all__ = [
    "AgentContract",
    "AgentDied",
    "AgentMesh",
    "AgentSpec",
    "CatalogEntry",
    "ChunkSequenceError",
    "Condition",
    "ConnectionDenied",
    "ConnectionFailed",
    "DeathNotice",
    "HandlerError",
    "InvalidInput",
    "InvocationMismatch",
    "KVCondition",
    "KVEntry",
    "KVKeyExists",
    "KVSource",
    "KVWrongRevision",
    "KeyNotFoundError",
    "LogEvent",
    "MeshError",
    "MeshMessage",
    "MeshTimeout",
    "MeshTool",
    "NotAvailable",
    "NotConnectedError",
    "NotFound",
    "ObjectNotFoundError",
    "ObserveConfig",
    "Overloaded",
    "PayloadTooLarge",
    "RequestContext",
    "SubjectCondition",
    "SubjectSource",
    "SyncMesh",
    "Toolset",
    "Usage",
    "current_request",
    "report_usage",
]

# Imported when they are used: a program that only calls does without `pydantic`.
_MODULES = {
    "AgentContract": "models",
    "AgentSpec": "models",
    "CatalogEntry": "models",
    "DeathNotice": "models",
    "LogEvent": "models",
    "MeshTool": "tools",
    "ObserveConfig": "models",
    "SyncMesh": "sync",
    "Toolset": "tools",
    "Usage": "models",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
