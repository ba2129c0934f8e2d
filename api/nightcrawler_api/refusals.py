"""Why a request is refused, in sentences: from errors of pydantic and of the API server; pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NotRequired

from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from nightcrawler_crds.errors import Cause
from nightcrawler_crds.validation import Problem, pointer_part

_SHOWN: Final = 60
_NAMED: Final = 3


class FieldError(TypedDict):
    """One error in a request: its JSON pointer or query parameter, and what is wrong."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    detail: str


def at(pointer: str, detail: str) -> FieldError:
    """An error in the body."""
    return {"pointer": pointer, "detail": detail}


def summary(fields: Sequence[FieldError]) -> str:
    """The errors as one sentence, for a problem's detail."""
    named = [_sentence(field) for field in fields[:_NAMED]]
    if len(named) > 1:
        named = [sentence.removesuffix(".") for sentence in named]
    rest = len(fields) - len(named)
    return "; ".join(named) + (f"; and {rest} more" if rest else "")


def _sentence(field: FieldError) -> str:
    where = field.get("parameter") or field.get("pointer", "").lstrip("/")
    return f"{where}: {field['detail']}" if where else field["detail"]


def from_problems(problems: Iterable[Problem]) -> list[FieldError]:
    """The errors of `validation`."""
    return [at(rest_pointer(problem.pointer), problem.message) for problem in problems]


def rest_pointer(pointer: str) -> str:
    """A pointer into a Workflow's spec as one into the API's workflow."""
    return "/name" if pointer == "/displayName" else pointer


# --- from the API server -------------------------------------------------------------------------

_PART: Final = re.compile(r"\.?([^.\[\]]+)|\[([^\]]*)\]")
_REDUNDANT_PREFIX: Final = re.compile(r'^Invalid value: (?:"(?:object|array)": )?')


def from_causes(causes: Iterable[Cause]) -> list[FieldError]:
    """The errors of the API server; it names fields as `spec.steps[0].image`."""
    return [at(_pointer_of(cause.field), _REDUNDANT_PREFIX.sub("", cause.message)) for cause in causes]


def _pointer_of(field: str) -> str:
    parts = [dotted or bracketed for dotted, bracketed in _PART.findall(field)]
    if not parts or parts[0] != "spec":
        return ""
    return rest_pointer("".join(f"/{pointer_part(part)}" for part in parts[1:]))


# --- from pydantic -------------------------------------------------------------------------------

_JSON_TYPES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_WANTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of at most 64 bits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dataclass_type": "an object",
}
_LIMITS: Final[Mapping[str, str]] = {
    "string_too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}, not {given}",
    "less_than_equal": "must be at most {le}, not {given}",
}
_STEP_NAME: Final = "has at most 100 characters, no control character, and no space at either end"
_PATTERNS: Final[Mapping[str, str]] = {
    "steps/*/name": _STEP_NAME,
    "steps/*/dependsOn/*": _STEP_NAME,
    "parameters/*/name": "has letters, digits and _ only, and does not begin with a digit",
    "If-Match": "has the version that GET shows, or several separated by commas, or *",
    "Idempotency-Key": "has printable ASCII characters other than spaces only",
    "steps/*/env/*/name": "has printable ASCII characters other than = only",
}


def from_request(found: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """The errors of FastAPI in a request's body and query."""
    fields: list[FieldError] = []
    for error in found:
        where, *rest = error["loc"]
        if where == "body":
            fields.append(at(_pointer(rest), _detail([error], tuple(rest))))
        else:
            fields.append({"parameter": ".".join(map(str, rest)), "detail": _detail([error], tuple(rest))})
    return fields


def from_model(
    found: Sequence[ErrorDetails], body: Any, known_fields: Iterable[str] = ()
) -> list[FieldError]:
    """The errors of a model in a body; `known_fields` suggest corrections of misspelt ones."""
    by_place: dict[tuple[int | str, ...], list[Mapping[str, Any]]] = {}
    for error in found:
        # pydantic adds the branches of a union to the location; they are not in the body.
        by_place.setdefault(_place(error, body), []).append(error)
    known = list(known_fields)
    return [
        at(rest_pointer(_pointer(place)), _detail(errors, place, known)) for place, errors in by_place.items()
    ]


def _place(error: ErrorDetails, body: Any) -> tuple[int | str, ...]:
    """The location of an error in the body; only that of a missing field does not exist."""
    place: list[int | str] = []
    for part in error["loc"]:
        in_list = isinstance(body, list) and isinstance(part, int) and part < len(body)
        if not in_list and not (isinstance(body, dict) and part in body):
            return (*place, part) if error["type"] == "missing" else tuple(place)
        body = body[part]
        place.append(part)
    return tuple(place)


def _pointer(place: Iterable[int | str]) -> str:
    return "".join(f"/{pointer_part(str(part))}" for part in place)


def _detail(
    errors: Sequence[Mapping[str, Any]], place: Sequence[int | str], known: Sequence[str] = ()
) -> str:
    if all(error["type"] in _WANTED for error in errors):
        return _wrong_type(errors)
    error = errors[0]
    kind, given, context = error["type"], error["input"], error.get("ctx") or {}
    if kind in _LIMITS:
        return _LIMITS[kind].format(given=shown(given), **context)
    match kind:
        case "missing":
            return "is required" if place else "a JSON object is required as the body"
        case "extra_forbidden":
            close = difflib.get_close_matches(str(place[-1]), known, 1) if place else []
            return "there is no such field" + (f"; is it {close[0]!r} that was meant?" if close else "")
        case "literal_error":
            return f"must be {str(context['expected']).replace(chr(39), '')}, not {shown(given)}"
        case "string_too_long" | "too_long":
            unit = "characters" if kind == "string_too_long" else "entries"
            return f"must have at most {context['max_length']} {unit}; it has {len(given)}"
        case "string_pattern_mismatch":
            generic = "/".join("*" if isinstance(part, int) else part for part in place)
            return (
                f"{shown(given)} cannot be used: it {_PATTERNS.get(generic, 'matches ' + context['pattern'])}"
            )
        case "value_error":
            return str(context["error"])
        case _:
            return str(error["msg"])


def _wrong_type(errors: Sequence[Mapping[str, Any]]) -> str:
    """One sentence for all branches of a union; "a number" includes "a whole number"."""
    wanted = list(dict.fromkeys(_WANTED[error["type"]] for error in errors))
    if "a number" in wanted and "a whole number" in wanted:
        wanted.remove("a whole number")
    return f"must be {' or '.join(wanted)}, not {shown(errors[0]['input'])}"


def shown(value: Any) -> str:
    """A value of a request for a sentence: shortened if long, its type if nested."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}..."
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64):
        return str(value)
    return _JSON_TYPES.get(type(value), "that")
