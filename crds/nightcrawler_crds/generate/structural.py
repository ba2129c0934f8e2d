"""JSON schema as pydantic writes it -> structural schema as the API server takes it.

A structural schema has no references, one type a node, and no value or null beside it:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema

Words ("16 cores", 16, 0.5) are either text or number, and no type says so. What was tried on API
server 1.35:

- ``x-kubernetes-int-or-string`` refuses 0.5 ("must be of type integer,string").
- ``type: string`` and ``type: number`` each refuse the other half; types below ``anyOf`` are not allowed.
- No type, with ``x-kubernetes-preserve-unknown-fields``, takes all JSON and keeps it as it was written.
  Patterns bind only strings and bounds only numbers, so the rest must be taken away by name: true,
  false, {}, [] by ``not: enum``, larger objects and lists by ``maxProperties`` and ``maxItems``.
  CEL does not see such a field (but for ``has(dyn(self).field)``), so it cannot say what is wrong.

The last is what is made here. A broken pattern would be answered with the pattern, which nobody can
read. So the word's own schema stands second below an ``anyOf`` whose first branch is an ``enum`` of
one sentence, the accepted forms: the server shows the first branch's error, and answers
``Unsupported value: "lots": supported values: "cores such as ..."``. The sentence itself is no word:
``maxLength``, beside the ``anyOf``, refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nightcrawler_crds.v1alpha1.base import SERVER_DEFAULT, WORD_FORMS, ApiModel

Json = dict[str, Any]

# In the order in which a reader of the YAML wants them.
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
    # Its value false is what the server does anyway: it refuses unknown fields when asked to be
    # strict, as kubectl asks, and drops them otherwise.
    "additionalProperties",
    "default",
)
_DROPPED: Final = ("title", _MARKER)  # the title is the field's name again


class SchemaError(Exception):
    """A model says something that a structural schema cannot; the message names the place."""


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
        del node["pattern"]  # the rule says the same, and has a message that people can read
    if "const" in raw:
        node["enum"] = [raw["const"]]
    for bound in ("minimum", "maximum"):
        # A number in JSON schema, a flag beside the bound in OpenAPI 3.0.
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in raw:
            node |= {bound: raw[exclusive], exclusive: True}
    if raw.get(_MARKER):
        node["default"] = raw["default"]
    if "type" not in raw:
        # Any JSON at all, and null is a value then like all others.
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
    """The node with its references followed and "or null" taken off.

    What stands at the field wins over what stands at its type: the field's description says more.
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
            raise SchemaError(f"{where}: {sorted(both)} are said both of the field and of its type")
        raw = {**inner, **outer}


def _word(raw: Json, where: str) -> Json:
    """A word, as the module's docstring says."""
    if WORD_FORMS not in raw:
        raise SchemaError(f"{where}: a structural schema has one type a field; make it a word, or free-form")
    number, text = raw["anyOf"]
    forms = raw[WORD_FORMS]
    longest = text["maxLength"]
    if len(forms) <= longest:
        raise SchemaError(f"{where}: the sentence of accepted forms would pass for a word; make it longer")
    word = {key: value for branch in (number, text) for key, value in branch.items() if key != "type"}
    if "exclusiveMinimum" in word:
        # The server compares whole numbers with a bound that it has cut to one: 0.001 would let 0 in.
        word |= {"minimum": word["exclusiveMinimum"], "exclusiveMinimum": True}
    return {
        "description": f"{raw['description']} Accepted: {forms}.",
        "x-kubernetes-preserve-unknown-fields": True,
        "maxLength": longest,
        "anyOf": [
            {"enum": [forms]},
            {**word, "maxProperties": 0, "maxItems": 0, "not": {"enum": [True, False, {}, []]}},
        ],
    }
