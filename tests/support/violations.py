"""Every way to break a structural schema, one at a time, from the schema and an object that is valid.

What only a CEL rule forbids cannot be found so; the rules' tests name their own violations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

Json = dict[str, Any]
Path = tuple[str | int, ...]

_NOTHING: Final = object()
_UNKNOWN: Final = "unknownField"
_WRONG_TYPE: Final = {
    "string": 7,
    "integer": "seven",
    "number": "seven",
    "boolean": "yes",
    "object": "text",
    "array": "text",
}


def nodes(schema: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Every node of a schema with its path; items and free keys are `*`."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, (*path, name))
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from nodes(schema[inner], (*path, "*"))


@dataclass(frozen=True)
class Violation:
    """One thing wrong with an object.

    Attributes:
        constraint: What it breaks, as the schema calls it.
        path: Where the wrong value goes, or, for a required field, what is taken away.
        value: The wrong value.
        expected: What the refusal must say.
    """

    constraint: str
    path: Path
    value: Any
    expected: str

    @property
    def where(self) -> str:
        """The path as the API server writes it: spec.steps[1].name."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return "".join(parts).removeprefix(".")

    @override
    def __str__(self) -> str:
        shown = repr(self.value)
        value = f"={shown}" if self.constraint == "word" and len(shown) < 20 else ""
        return f"{self.where}-{self.constraint}{value}"

    def applied_to(self, manifest: Mapping[str, Any]) -> Json:
        """A copy of the object with this violation."""
        changed = copy.deepcopy(dict(manifest))
        *parents, last = self.path
        node: Any = changed
        for part in parents:
            node = node[part]
        if self.value is _NOTHING:
            del node[last]
        else:
            node[last] = self.value
        return changed


def violations(schema: Json, valid: Any, path: Path = ()) -> Iterator[Violation]:
    """Every violation of the schema's constraints below a path; `valid` is what is there and valid.

    Raises:
        AssertionError: If `valid` lacks an object or list that the schema describes further.
    """
    for constraint, broken in _BROKEN.items():
        if constraint in schema:
            yield from broken(schema, valid, path)
    for name, field in schema.get("properties", {}).items():
        inner = valid.get(name)
        described = field.keys() & {"properties", "items", "additionalProperties"}
        assert inner or not described, f"the valid object has nothing at {path} {name}"
        yield from violations(field, inner, (*path, name))
    if "items" in schema:
        index = max(range(len(valid)), key=lambda at: len(valid[at]))
        yield from violations(schema["items"], valid[index], (*path, index))
    if "additionalProperties" in schema:
        key = next(iter(valid))
        yield from violations(schema["additionalProperties"], valid[key], (*path, key))


def _wrong_type(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    wanted = schema["type"]
    yield Violation("type", path, _WRONG_TYPE[wanted], f"must be of type {schema.get('format', wanted)}")


def _wrong_format(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    yield Violation("format", path, "tomorrow", f"must be of type {schema['format']}")


def _not_listed(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    listed = ", ".join(f'"{value}"' for value in schema["enum"])
    yield Violation("enum", path, "somethingElse", f"supported values: {listed}")


def _no_match(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    yield Violation("pattern", path, "= \n", f"should match '{schema['pattern']}'")


def _too_short(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    least = schema["minLength"]
    yield Violation("minLength", path, "a" * (least - 1), f"should be at least {least} chars long")


def _too_long(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    most = schema["maxLength"]
    yield Violation("maxLength", path, "1" * (most + 1), f"Too long: may not be more than {most} bytes")


def _too_small(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    least = schema["minimum"]
    if schema.get("exclusiveMinimum"):
        yield Violation("exclusiveMinimum", path, least, f"should be greater than {least}")
    else:
        yield Violation("minimum", path, least - 1, f"should be greater than or equal to {least}")


def _too_large(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    most = schema["maximum"]
    yield Violation("maximum", path, most + 1, f"should be less than or equal to {most}")


def _too_many_items(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    most = schema["maxItems"]
    expected = f"Too many: {most + 1}: must have at most {most} items"
    yield Violation("maxItems", path, [valid[0]] * (most + 1), expected)


def _too_many_properties(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    most = schema["maxProperties"]
    value = next(iter(valid.values()))
    expected = f"Too many: {most + 1}: must have at most {most} items"
    yield Violation("maxProperties", path, {f"k{n}": value for n in range(most + 1)}, expected)


def _missing(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    for name in schema["required"]:
        yield Violation("required", (*path, name), _NOTHING, "Required value")


def _duplicate(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    # The server reports the second one.
    yield Violation("list-map", path, [*valid, valid[0]], "Duplicate value")


def _unknown_field(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    yield Violation("unknown", (*path, _UNKNOWN), 1, "unknown field")


def _not_a_word(schema: Json, valid: Any, path: Path) -> Iterator[Violation]:
    forms, word = schema["anyOf"]
    (sentence,) = forms["enum"]
    shown = sentence.replace('"', '\\"')
    values = ["lots of it", "", "-1", " 1", True, False, {}, {"amount": 1}, [], [1], -1, word["maximum"] + 1]
    if "multipleOf" in word:
        values.append(1.5)
    for value in values:
        yield Violation("word", path, value, f'supported values: "{shown}"')


_BROKEN: Final[Mapping[str, Callable[[Json, Any, Path], Iterator[Violation]]]] = {
    "type": _wrong_type,
    "format": _wrong_format,
    "enum": _not_listed,
    "pattern": _no_match,
    "minLength": _too_short,
    "maxLength": _too_long,
    "minimum": _too_small,
    "maximum": _too_large,
    "maxItems": _too_many_items,
    "maxProperties": _too_many_properties,
    "required": _missing,
    "x-kubernetes-list-type": _duplicate,
    "properties": _unknown_field,
    "anyOf": _not_a_word,
}
# Keywords that forbid nothing by themselves, or nothing more.
_SAYS_NOTHING: Final = frozenset(
    {
        "default",
        "description",
        "nullable",
        "exclusiveMinimum",  # said by minimum
        "x-kubernetes-list-map-keys",  # said by the list's type
        "x-kubernetes-map-type",  # how it is merged
        "x-kubernetes-preserve-unknown-fields",
        "additionalProperties",
        "items",
    }
)

COVERED: Final = frozenset({*_BROKEN, *_SAYS_NOTHING, "x-kubernetes-validations"})
"""All keywords that the schemas may have; a test fails if there is one more."""
