"""What changed, without what may be secret; pure.

Values of environment variables and of parameters are secrets often enough that none is ever shown. A value
that changed is shown as hidden on both sides, so that it can be seen that it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

HIDDEN: Final = "(hidden)"

_MOST_BYTES: Final = 32 << 10
"""Of each side: a spec may have a megabyte, most of it programs."""


def changes(old: Any, new: Any) -> tuple[Any, Any]:
    """The parts of two states that differ, without values that may be secret; None for no state."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        old, new = _differing(old, new)
    return _bounded(_shown(old)), _bounded(_shown(new))


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for key in dict.fromkeys((*old, *new)):
        if key in old and key in new:
            if old[key] != new[key]:
                before[key], after[key] = _both(old[key], new[key])
        elif key in old:
            before[key] = old[key]
        else:
            after[key] = new[key]
    return before, after


def _both(old: Any, new: Any) -> tuple[Any, Any]:
    """Two values of the same place that differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _differing(old, new)
    old_items, new_items = _by_name(old), _by_name(new)
    if old_items is None or new_items is None:
        return old, new
    if list(old_items.values()) != list(new_items.values()) and old_items == new_items:
        return list(old_items), list(new_items)  # only their order
    before, after = _differing(old_items, new_items)
    return [_named(name, item) for name, item in before.items()], [
        _named(name, item) for name, item in after.items()
    ]


def _by_name(items: Any) -> dict[str, Any] | None:
    """The items of a list by their names: steps, variables, parameters; None if they have none."""
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        return None
    if not all(isinstance(item.get("name"), str) for item in items):
        return None
    named = {item["name"]: item for item in items}
    return named if len(named) == len(items) else None


def _named(name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, **item}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without_values(key, inner) if key in _SECRET else _shown(inner)
            for key, inner in value.items()
        }
    return [_shown(inner) for inner in value] if isinstance(value, list) else value


_SECRET: Final = {"env": "value", "parameters": "default"}
"""Fields that are lists of what has a value, or maps to values; and the field of an item that has it."""


def _without_values(field: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, HIDDEN)
    if not isinstance(value, list):
        return HIDDEN if value is not None else None
    secret = _SECRET[field]
    return [
        {key: HIDDEN if key == secret else _shown(inner) for key, inner in item.items()}
        if isinstance(item, Mapping)
        else item
        for item in value
    ]


def _bounded(value: Any) -> Any:
    """A state, or the names of its fields if it is too large."""
    if isinstance(value, Mapping) and len(msgspec.json.encode(value)) > _MOST_BYTES:
        return {"tooLarge": True, "fields": sorted(value)}
    return value
