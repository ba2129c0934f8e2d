"""The status of an execution as it should be, and the merge patch that makes it so."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import ExecutionStatusView
from nightcrawler_crds.plaintext import plain
from nightcrawler_operator.decisions.status_budget import within_budget

MAX_MESSAGE: Final = 4096
"""Characters that the schema allows in a message."""
_ONLY_IF_ANY: Final = frozenset({"disruptions", "preemptions", "earlier_seconds", "observed_generation"})
"""Counts that are left out while they are 0."""


def condition(
    kind: str,
    status: str,
    reason: str,
    message: str,
    recorded: Iterable[Condition],
    now: datetime,
    generation: int,
) -> Condition:
    """A condition; its transition time changes only with its status."""
    before = next((c for c in recorded if c.type == kind), None)
    since = before.last_transition_time if before is not None and before.status == status else None
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=plain(message)[:MAX_MESSAGE],
        last_transition_time=since or now,
        observed_generation=generation or None,
    )


def first_problem(error: ValidationError) -> str:
    """What is wrong with a spec first, with the field."""
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    problem = first.get("ctx", {}).get("error", first["msg"])  # our sentence, without pydantic's prefix
    return f"spec{where}: {problem}"


def sentence(step: str, message: str) -> str:
    """The message about a step.

    Control characters are removed where foreign texts are read, and here once more, for those that came
    another way (the refusal of an admission webhook): none may command a terminal.
    """
    return plain(f"step {step!r} {message}")[:MAX_MESSAGE]


def status_patch(recorded: ExecutionStatusView, wanted: ExecutionStatusView) -> dict[str, Any]:
    """The merge patch for an execution's status, within its byte budget; empty if nothing changes."""
    patch = merge_patch(recorded, wanted)
    if not patch:
        return patch
    kept = within_budget(wanted)
    return patch if kept is wanted else merge_patch(recorded, kept)


def merge_patch(recorded: msgspec.Struct, wanted: msgspec.Struct) -> dict[str, Any]:
    """The smallest JSON merge patch (RFC 7386) between two structs of one type; empty if they are equal.

    Nested structs and mappings are compared field by field, and what did not change is not even encoded:
    of 1,000 steps of which one changed, one is. Lists are replaced. A field that is no longer set is null.
    """
    patch: dict[str, Any] = {}
    for name, wire in _fields(type(wanted)):
        old, new = getattr(recorded, name), getattr(wanted, name)
        if isinstance(new, dict):
            if changed := _mapping_patch(old or {}, new):
                patch[wire] = changed
        elif old != new:
            patch[wire] = _change(old, new)
    return patch


def _mapping_patch(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    if not recorded.keys() <= wanted.keys():
        patch = dict.fromkeys(recorded.keys() - wanted.keys())
    get = recorded.get
    for key, new in wanted.items():
        old = get(key)
        if old != new:
            patch[key] = _change(old, new)
    return patch


def _change(old: Any, new: Any) -> Any:
    """What a merge patch says of a value that changed."""
    if isinstance(new, msgspec.Struct) and type(old) is type(new):
        return merge_patch(old, new)
    if isinstance(new, dict) and isinstance(old, dict):
        return _mapping_patch(old, new)
    return to_json(new)


def to_json(value: Any) -> Any:
    """A value of a view as it is written; fields that are not set are left out."""
    match value:
        case msgspec.Struct():
            return {
                wire: to_json(field)
                for name, wire in _fields(type(value))
                if (field := getattr(value, name)) is not None and (field or name not in _ONLY_IF_ANY)
            }
        case datetime():
            return to_wire(value)
        case tuple() | list():
            return [to_json(item) for item in value]
        case dict():
            return {key: to_json(item) for key, item in value.items()}
        case _:
            return value


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """The name of each field, and its name on the wire."""
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind))
