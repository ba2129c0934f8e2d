"""Writes the generated parts of the README between their markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nightcrawler_crds.v1alpha1.base import LATER

Json = dict[str, Any]

_TYPES: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_LATER_MARK: Final = " *(later)*"


class MarkersError(Exception):
    """The document lacks a part's markers; the message says which."""


def begin(name: str) -> str:
    """The marker before a part."""
    return f"<!-- {name}: written by `make generate` -->"


def end(name: str) -> str:
    """The marker after a part."""
    return f"<!-- end of {name} -->"


def filled(document: str, parts: Mapping[str, str]) -> str:
    """The document with each part between its markers.

    Raises:
        MarkersError: If the markers of a part are missing.
    """
    for name, text in parts.items():
        before, found, rest = document.partition(begin(name))
        _, ended, after = rest.partition(end(name))
        if not found or not ended:
            raise MarkersError(f"the README must have the lines {begin(name)!r} and {end(name)!r}")
        document = f"{before}{begin(name)}\n\n{text}\n\n{end(name)}{after}"
    return document


def fields(schema: Json) -> str:
    """A Markdown table of all fields of a spec or status."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for path, node, needed in _fields(schema):
        star = "**" if needed else ""
        lines.append(f"| {star}`{path}`{star} | {_type(node)} | {_meaning(node)} |")
    return "\n".join(lines)


def _fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json, bool]]:
    """Every field below a node, with its path and whether it is required; items are `[]`, map keys `*`."""
    required = schema.get("required", ())
    for name, node in schema.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner, node, name in required
        while "items" in node or "additionalProperties" in node:
            inner += "[]" if "items" in node else ".*"
            node = node.get("items") or node["additionalProperties"]  # noqa: PLW2901 - the same, one below
        yield from _fields(node, inner)


def _type(node: Json) -> str:
    """The type of a field, in plain words."""
    if "anyOf" in node:
        return "word"
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    if "items" in node:
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    if node.get("format") == "date-time":
        return "time"
    if node.get("type") == "object":
        return "object"
    return _TYPES.get(node.get("type", ""), "any JSON")


def _meaning(node: Json) -> str:
    """The field's description on one line, without the accepted forms, which have a section of their own."""
    text: str = node["description"]
    if "anyOf" in node:
        text = text.partition(" Accepted: ")[0]
    return " ".join(text.replace(LATER, _LATER_MARK).split()).replace("|", "\\|")
