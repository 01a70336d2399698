"""A pydantic model of a JSON Schema, for frameworks whose tools want a model."""

from __future__ import annotations

import copy
from typing import Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, create_model
from pydantic_core import CoreSchema

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
    "object": dict[str, Any],
    "array": list[Any],
}


class _SchemaModel(BaseModel):
    """The base of the models: its JSON Schema is the one that it was made of."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        own = _SCHEMAS.get(cls)
        return handler(schema) if own is None else copy.deepcopy(own)


_SCHEMAS: dict[type[BaseModel], dict[str, Any]] = {}


def model_of_schema(name: str, schema: dict[str, Any]) -> type[BaseModel]:
    """A model with a field for each property. Its types are those of the top level; the agent checks the rest."""
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    fields: dict[str, Any] = {}
    for index, (key, value) in enumerate(schema.get("properties", {}).items()):
        annotation = _annotation(value, definitions)
        attribute, alias = (key, None) if _is_field(key) else (f"field_{index}", key)
        description = value.get("description") if isinstance(value, dict) else None
        if key in required:
            fields[attribute] = (annotation, Field(alias=alias, description=description))
        else:
            default = value.get("default") if isinstance(value, dict) else None
            fields[attribute] = (
                Union[annotation, None],
                Field(default, alias=alias, description=description),
            )
    model: type[BaseModel] = create_model(name, __base__=_SchemaModel, **fields)
    _SCHEMAS[model] = schema
    return model


def _is_field(name: str) -> bool:
    return (
        name.isidentifier()
        and not name.startswith(("_", "model_"))
        and not hasattr(BaseModel, name)
    )


def _annotation(schema: Any, definitions: dict[str, Any], depth: int = 0) -> Any:
    if not isinstance(schema, dict) or depth > 8:
        return Any
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _annotation(definitions.get(reference.rpartition("/")[2]), definitions, depth + 1)
    values = schema.get("enum")
    if isinstance(values, list) and values and all(isinstance(v, (str, int, bool)) for v in values):
        return Literal[tuple(values)]
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list) and schema[keyword]:
            options = [_annotation(option, definitions, depth + 1) for option in schema[keyword]]
            return Union[tuple(options)]
    kind = schema.get("type")
    if isinstance(kind, list):
        return Union[tuple(_TYPES.get(one, Any) for one in kind)]
    if kind == "array":
        return list[_annotation(schema.get("items"), definitions, depth + 1)]  # type: ignore[misc]
    return _TYPES.get(kind, Any) if isinstance(kind, str) else Any
