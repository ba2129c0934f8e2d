"""How many rows lists had a while ago, and from which of these numbers another is found soonest; pure.

Databases count row by row. Of two lists that differ in nothing but the earliest start, only the rows between
these have to be counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from nightcrawler_api.archive.state import State

_MOST_LISTS: Final = 500
_MOST_STARTS: Final = 50
"""Of one list."""

Rows = Literal["none", "all", "added", "between"]
"""Which rows of a list are counted; those with keys above a number, or that started between two times."""


@dataclass(frozen=True, slots=True)
class Basis:
    """A number of rows, and which others have to be counted to find the number that is wanted.

    Attributes:
        count: The number; 0 if all are counted.
        rows: The others.
        fewer: Whether these are to be taken away from it.
        values: What limits them: `above`, or `since` and `until` in microseconds since 1970.
    """

    count: int = 0
    rows: Rows = "all"
    fewer: bool = False
    values: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int | None:
        """The number that is wanted, if it is known."""
        return self.count if self.rows == "none" else None

    def with_counted(self, rows: int) -> int:
        """The number that is wanted, where so many others were counted."""
        return self.count - rows if self.fewer else self.count + rows


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows matched in one state of the archive: with so many removals, and keys up to a number."""

    removals: int
    upto: int
    count: int


KnownCounts = Mapping[int | None, Count]
"""The numbers of a list by its earliest start, in microseconds since 1970; None: there is none."""


def basis(known: KnownCounts, begin: int | None, state: State, now: int) -> Basis:
    """From what the number of rows in this state is found soonest; `now` is in microseconds too."""
    exact = known.get(begin)
    if exact is not None and exact.removals == state.removals and exact.upto <= state.upto:
        if exact.upto == state.upto:
            return Basis(exact.count, "none")
        return Basis(exact.count, "added", values={"above": exact.upto})
    if begin is None:
        return Basis()
    here = (state.removals, state.upto)
    starts = [at for at, one in known.items() if at is not None and (one.removals, one.upto) == here]
    nearest = min(starts, key=lambda at: abs(at - begin), default=None)
    # As many rows are assumed to be of any time until now as of any other.
    if nearest is None or abs(nearest - begin) > now - begin:
        return Basis()
    since, until = sorted((nearest, begin))
    values = {"since": since, "until": until}
    return Basis(known[nearest].count, "between", fewer=nearest < begin, values=values)


class Counts:
    """The numbers of the lists that were counted last, by their earliest starts."""

    def __init__(self) -> None:
        self._lists: OrderedDict[Hashable, OrderedDict[int | None, Count]] = OrderedDict()

    def of(self, key: Hashable) -> KnownCounts:
        """What is known of a list now."""
        return dict(self._lists.get(key, {}))

    def remember(self, key: Hashable, begin: int | None, state: State, count: int) -> None:
        """Keep the number of rows in this state."""
        known = self._lists.setdefault(key, OrderedDict())
        self._lists.move_to_end(key)
        known[begin] = Count(state.removals, state.upto, count)
        known.move_to_end(begin)
        if len(known) > _MOST_STARTS:
            known.popitem(last=False)
        if len(self._lists) > _MOST_LISTS:
            self._lists.popitem(last=False)

    def clear(self) -> None:
        """Forget all: it is another database."""
        self._lists.clear()
