"""JSON schemas of tool arguments: short for a prompt, simple for a server that turns them into a grammar."""

import json
from collections.abc import Mapping
from typing import Any

_NAMED = ("properties",)
_SINGLE = ("items", "additionalProperties")
_LISTED = ("anyOf", "oneOf", "allOf")
_GRAMMAR = frozenset(
    {"type", "enum", "const", "required", "minItems", "maxItems", *_NAMED, *_SINGLE, *_LISTED}
)
_NOISE = frozenset({"title", "$defs", "$schema"})


def compact(schema: Mapping[str, Any]) -> str:
    """Write a schema in one line, its references resolved and its titles left out.

    Raises:
        ValueError: It refers to itself or to what is not in its `$defs`.
    """
    return json.dumps(resolved(schema), ensure_ascii=False, separators=(",", ":"))


def for_grammar(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a schema what decides the shape of a value.

    Lengths of text, patterns and formats go: releases of llama.cpp differ in which of them they refuse, and a tool
    checks them anyway. Objects take no further properties unless the schema allows them.

    Raises:
        ValueError: It refers to itself or to what is not in its `$defs`.
    """
    return _shape(resolved(schema))


def resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Put the definitions in the place of every local reference, so that the schema can stand inside another.

    Raises:
        ValueError: It refers to itself or to what is not in its `$defs`.
    """
    return _resolved(schema, schema.get("$defs", {}), ())


def _resolved(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], within: tuple[str, ...]
) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is not None:
        name = str(reference).removeprefix("#/$defs/")
        if name not in definitions or name in within:
            raise ValueError(f"the schema's reference {reference} is unknown or within itself")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema, within = {**definitions[name], **beside}, (*within, name)
    kept = {key: value for key, value in schema.items() if key not in _NOISE}
    return {key: _each(key, value, definitions, within) for key, value in kept.items()}


def _each(key: str, value: Any, definitions: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    if key in _NAMED:
        return {name: _resolved(part, definitions, within) for name, part in value.items()}
    if key in _SINGLE and isinstance(value, Mapping):
        return _resolved(value, definitions, within)
    if key in _LISTED:
        return [_resolved(part, definitions, within) for part in value]
    return value


def _shape(schema: Mapping[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED:
            shape[key] = {name: _shape(part) for name, part in value.items()}
        elif key in _SINGLE and isinstance(value, Mapping):
            shape[key] = _shape(value)
        elif key in _LISTED:
            shape[key] = [_shape(part) for part in value]
        elif key in _GRAMMAR:
            shape[key] = value
    if "properties" in shape:
        shape.setdefault("additionalProperties", False)
    return shape
