"""Places of lists in the archive that were found lately, from which others are found sooner; pure.

Databases count the rows that a page skips. Who turns pages skips as many as before, and a few more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final

from nightcrawler_api.archive.state import State

_MOST_LISTS: Final = 50
_MOST_PLACES: Final = 200
"""Of one list; all of them take at most about 5 MB."""
_MOST_ADDED: Final = 2_000
"""A place is used until so many rows were added since: those before it have to be counted each time."""
_before = attrgetter("before")


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a list in a state of the archive.

    Attributes:
        before: How many rows of the list come before it.
        values: What it is sorted by.
        name: The database's name.
        removals: How often rows had been removed from it.
        upto: The greatest key.
    """

    before: int
    values: Sequence[Any]
    name: str
    removals: int
    upto: int

    def is_in(self, state: State) -> bool:
        """Whether nothing but a few rows has been added until this state, so that the row is still there."""
        same = self.name == state.name and self.removals == state.removals
        return same and 0 <= state.upto - self.upto <= _MOST_ADDED

    def is_of(self, state: State) -> bool:
        """Whether it is a place in this very state."""
        return self.is_in(state) and self.upto == state.upto

    def after(self, added: int, state: State) -> Place:
        """The place in this state, to which so many rows were added before it."""
        return replace(self, before=self.before + added, upto=state.upto)


class Places:
    """Some places of the lists that were read last."""

    def __init__(self) -> None:
        self._lists: OrderedDict[Hashable, list[Place]] = OrderedDict()

    def near(self, key: Hashable, skip: int) -> Place | None:
        """The place of a list that is nearest to the one with so many rows before it."""
        places = self._lists.get(key)
        if not places:
            return None
        at = bisect_left(places, skip, key=_before)
        return min(places[max(at - 1, 0) : at + 1], key=lambda place: abs(place.before - skip))

    def add(self, key: Hashable, place: Place, state: State) -> None:
        """Keep a place that was found in this state; those of a list that can be used no more are dropped."""
        places = [one for one in self._lists.pop(key, ()) if one.is_in(state) and one.before != place.before]
        if len(places) >= _MOST_PLACES:
            places = places[::2]
        places.insert(bisect_left(places, place.before, key=_before), place)
        self._lists[key] = places
        if len(self._lists) > _MOST_LISTS:
            self._lists.popitem(last=False)
