"""The difference of two contents of a workflow, as places with their values; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from nightcrawler_api.revisions.schemas import Difference
from nightcrawler_crds.validation import pointer_part

_MISSING: Final = object()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """The places whose values differ.

    Items of lists that all have names, such as steps and parameters, are compared by their names; if their
    order differs, the list is one more place, with the names in order.
    """
    return list(_compare("", old, new))


def _compare(place: str, old: Any, new: Any) -> Iterator[Difference]:
    before, after = _by_name(old), _by_name(new)
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        yield from _value(place, old, new)
        return
    for key in [*before, *(key for key in after if key not in before)]:
        inner = f"{place}/{pointer_part(key)}"
        yield from _compare(inner, before.get(key, _MISSING), after.get(key, _MISSING))
    if isinstance(old, list) and isinstance(new, list):
        kept = [[key for key in names if key in before and key in after] for names in (before, after)]
        if kept[0] != kept[1]:
            yield {"path": place, "old": list(before), "new": list(after)}


def _value(place: str, old: Any, new: Any) -> Iterator[Difference]:
    if old is not _MISSING and new is not _MISSING and _text(old) == _text(new):
        return
    found: Difference = {"path": place}
    if old is not _MISSING:
        found["old"] = old
    if new is not _MISSING:
        found["new"] = new
    yield found


def _by_name(value: Any) -> Any:
    """A list of named items as an object by their names; any other value as it is."""
    if not isinstance(value, list) or not value:
        return value
    named = {
        item["name"]: item
        for item in value
        if isinstance(item, Mapping) and isinstance(item.get("name"), str)
    }
    return named if len(named) == len(value) else value


def _text(value: Any) -> bytes:
    # As JSON, because to Python 1, 1.0 and True are one.
    return msgspec.json.encode(value, order="sorted")
