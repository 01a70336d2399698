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

from ._bridge import core as _core
from .context import RequestContext, current_request, report_usage
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
from .models import (
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
from .sources import Condition, KVCondition, KVSource, SubjectCondition, SubjectSource
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
