"""Converts pydantic's JSON schema to the structural schema that the API server accepts.

A structural schema has no references, one type per node, and no "or null":
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema

Words ("16 cores", 16, 0.5) are a string or a number, which no type expresses. Tried on API server 1.35:

- ``x-kubernetes-int-or-string`` refuses 0.5 ("must be of type integer,string").
- ``type: string`` and ``type: number`` each refuse the other; types below ``anyOf`` are not allowed.
- No type, with ``x-kubernetes-preserve-unknown-fields``, accepts any JSON and keeps it as written.
  Patterns apply only to strings and bounds only to numbers, so everything else must be excluded: true,
  false, {}, [] by ``not: enum``, larger objects and lists by ``maxProperties`` and ``maxItems``.
  CEL does not see such a field (except by ``has(dyn(self).field)``), so a rule cannot check it.

The last one is used. The server's error for a pattern shows the pattern, which is unreadable. So the
word's schema is the second branch of an ``anyOf`` whose first branch is an ``enum`` of one sentence, the
accepted forms: the server shows the first branch's error,
``Unsupported value: "lots": supported values: "cores such as ..."``. The sentence itself is not accepted
as a value: the ``maxLength`` next to the ``anyOf`` refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nightcrawler_crds.v1alpha1.base import SERVER_DEFAULT, WORD_FORMS, ApiModel

Json = dict[str, Any]

# In the order in which they are written.
_KEPT: Final = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
    "required",
)
_MARKER: Final = next(iter(SERVER_DEFAULT))
_CHANGED: Final = (
    "const",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "items",
    "properties",
    # false is the server's behaviour anyway: it refuses unknown fields in strict mode, which kubectl
    # uses, and drops them otherwise.
    "additionalProperties",
    "default",
)
_DROPPED: Final = ("title", _MARKER)  # the title is repeats the field's name


class SchemaError(Exception):
    """A model cannot be expressed as a structural schema; the message names the field."""


def structural(model: type[ApiModel]) -> Json:
    """The structural schema of a model.

    Raises:
        SchemaError: If the model's schema has no structural form, or one of its fields no description.
    """
    schema = model.model_json_schema(by_alias=True)
    return _node(schema, schema.get("$defs", {}), model.__name__)


def _node(raw: Json, definitions: Mapping[str, Json], where: str) -> Json:
    """One node of the schema, and all below it."""
    raw = _resolved({key: value for key, value in raw.items() if key != "$defs"}, definitions, where)
    if "anyOf" in raw:
        return _word(raw, where)
    unknown = raw.keys() - {*_KEPT, *_DROPPED, *_CHANGED}
    if unknown:
        raise SchemaError(f"{where}: a structural schema has no {', '.join(sorted(unknown))}")
    node: Json = {key: raw[key] for key in _KEPT if key in raw}
    rules = raw.get("x-kubernetes-validations", ())
    if "pattern" in raw and any(raw["pattern"] in rule["rule"] for rule in rules):
        del node["pattern"]  # the rule checks the same, with a readable message
    if "const" in raw:
        node["enum"] = [raw["const"]]
    for bound in ("minimum", "maximum"):
        # A number in JSON schema, a flag next to the bound in OpenAPI 3.0.
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in raw:
            node |= {bound: raw[exclusive], exclusive: True}
    if raw.get(_MARKER):
        node["default"] = raw["default"]
    if "type" not in raw:
        # Any JSON, which includes null.
        node["nullable"] = True
    if "items" in raw:
        node["items"] = _node(raw["items"], definitions, f"{where}[]")
    if isinstance(raw.get("additionalProperties"), dict):
        node["additionalProperties"] = _node(raw["additionalProperties"], definitions, f"{where}{{}}")
    if "properties" in raw:
        node["properties"] = {
            name: _property(field, definitions, f"{where}.{name}")
            for name, field in raw["properties"].items()
        }
    return node


def _property(raw: Json, definitions: Mapping[str, Json], where: str) -> Json:
    if not raw.get("description"):
        raise SchemaError(f"{where}: the field has no description for kubectl explain")
    return _node(raw, definitions, where)


def _resolved(raw: Json, definitions: Mapping[str, Json], where: str) -> Json:
    """The node with references resolved and "or null" removed.

    The field's attributes win over its type's, because its description is more specific.
    """
    while True:
        branches = [branch for branch in raw.get("anyOf", ()) if branch != {"type": "null"}]
        if "$ref" in raw:
            inner = definitions[raw["$ref"].removeprefix("#/$defs/")]
        elif len(branches) == 1:
            inner = branches[0]
        else:
            return raw
        outer = {key: value for key, value in raw.items() if key not in ("$ref", "anyOf")}
        if both := outer.keys() & inner.keys() - {"description", "title", "default"}:
            raise SchemaError(f"{where}: {sorted(both)} are set both on the field and on its type")
        raw = {**inner, **outer}


def _word(raw: Json, where: str) -> Json:
    """The schema of a word; see the module's docstring."""
    if WORD_FORMS not in raw:
        raise SchemaError(f"{where}: a structural schema has one type a field; make it a word, or free-form")
    number, text = raw["anyOf"]
    forms = raw[WORD_FORMS]
    longest = text["maxLength"]
    if len(forms) <= longest:
        raise SchemaError(f"{where}: the sentence of accepted forms would pass for a word; make it longer")
    word = {key: value for branch in (number, text) for key, value in branch.items() if key != "type"}
    if 0 < word.get("minimum", 0) < 1:
        # The server truncates bounds for integers: a minimum of 0.001 would accept 0.
        word |= {"minimum": 0, "exclusiveMinimum": True}
    return {
        "description": f"{raw['description']} Accepted: {forms}.",
        "x-kubernetes-preserve-unknown-fields": True,
        "maxLength": longest,
        "anyOf": [
            {"enum": [forms]},
            {**word, "maxProperties": 0, "maxItems": 0, "not": {"enum": [True, False, {}, []]}},
        ],
    }
