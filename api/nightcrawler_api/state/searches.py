"""What was found by searches, for as long as none of the searched texts changes; pure.

People look at what they have found page by page, and again and again. Each search of 10,000 workflows takes
2.6 ms, in which the facade answers nobody else.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

_MOST: Final = 50
"""So many searches are kept, of 10,000 workflows in 2 MB at most."""


class Searched(Protocol):
    """What can be searched for: `text` is as `index.searchable` makes it."""

    @property
    def text(self) -> str:
        """What searches look at."""
        ...


T = TypeVar("T", bound=Searched)


class Searches:
    """Searches of one sequence, which `clear` reports to have changed."""

    def __init__(self) -> None:
        self._positions: OrderedDict[str, array[int]] = OrderedDict()
        """Where in the sequence the entries are that were found, by what was searched for."""

    def find(self, needle: str, entries: Sequence[T]) -> Sequence[T]:
        """Those of all entries that have this in their texts."""
        if (positions := self._positions.get(needle)) is None:
            found = (position for position, entry in enumerate(entries) if needle in entry.text)
            positions = self._positions[needle] = array("I", found)
            if len(self._positions) > _MOST:
                self._positions.popitem(last=False)
        self._positions.move_to_end(needle)
        return [entries[position] for position in positions]

    def clear(self) -> None:
        """Search again: entries were added or removed, or have other texts."""
        self._positions.clear()
