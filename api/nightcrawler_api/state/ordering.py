"""The order of lists, and the part of one that a request asks for; pure.

A position is a place in a list: what its entry is sorted by, and the entry's own order, which no other entry
has. A list that continues after a position neither repeats nor skips entries, whatever was added or removed
before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeVar

Order = tuple[float, str, str]
"""Creation time, namespace and name of an object: the order of all lists that name no other."""
SortValue = float | str | None

_FEW: Final = 2_000
"""Up to this many entries are selected without sorting the whole list."""
_order = attrgetter("order")


class Ordered(Protocol):
    """An entry of a list."""

    @property
    def order(self) -> Order:
        """Its place by creation."""
        ...


E = TypeVar("E", bound=Ordered)
E_contra = TypeVar("E_contra", contravariant=True)


class SortKey(Generic[E_contra]):
    """What a list is sorted by, other than creation."""

    __slots__ = ("_of",)

    def __init__(self, of: Callable[[E_contra], SortValue]) -> None:
        self._of = of

    def __call__(self, entry: E_contra) -> SortValue:
        """The value of an entry."""
        return self._of(entry)

    def all(self, entries: Sequence[E_contra]) -> list[SortValue]:
        """The values of many; there may be 100,000."""
        return list(map(self._of, entries))


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list: the value by which its entry is sorted, None if it has none, and its order."""

    value: SortValue
    order: Order


@dataclass(frozen=True, slots=True)
class Ordering:
    """What a list is sorted by; entries without a value are last. `after` is where a page starts."""

    field: str = "createdAt"
    descending: bool = True
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Part(Generic[E]):
    """A part of a list, the number of all entries that match, and where the next part starts, if any."""

    entries: Sequence[E]
    total: int
    next: Position | None = None


NEWEST_FIRST: Final = Ordering()


class Timeline(Generic[E]):
    """Entries by creation.

    Most additions are appends. The first list comes ordered by name, so those that are not are added at the
    next read: one by one if they are few, else by sorting.
    """

    __slots__ = ("_entries", "_late")

    def __init__(self) -> None:
        self._entries: list[E] = []
        self._late: list[E] = []

    def __len__(self) -> int:
        return len(self._entries) + len(self._late)

    def __iter__(self) -> Iterator[E]:
        """Newest first."""
        return reversed(self.oldest_first())

    def add(self, entry: E) -> None:
        """Add an entry."""
        if self._late or (self._entries and entry.order < self._entries[-1].order):
            self._late.append(entry)
        else:
            self._entries.append(entry)

    def remove(self, entry: E) -> None:
        """Remove the entry with this order, which has been added."""
        entries = self.oldest_first()
        position = bisect_left(entries, entry.order, key=_order)
        assert entries[position].order == entry.order, "a change of an object that was never added"
        del self._entries[position]

    def replace(self, entry: E) -> None:
        """Put an entry in the place of the one with the same order."""
        entries = self.oldest_first()
        position = bisect_left(entries, entry.order, key=_order)
        assert entries[position].order == entry.order, "a change of an object that was never added"
        self._entries[position] = entry

    def oldest_first(self) -> Sequence[E]:
        """All entries, not to be changed."""
        if self._late:
            if len(self._late) * 16 > len(self._entries):
                self._entries += self._late
                self._entries.sort(key=_order)
            else:
                for entry in self._late:
                    self._entries.insert(bisect_right(self._entries, entry.order, key=_order), entry)
            self._late.clear()
        return self._entries

    def page(self, offset: int, limit: int) -> list[E]:
        """Up to `limit` entries, newest first, after skipping `offset`."""
        entries = self.oldest_first()
        end = max(len(entries) - offset, 0)
        return list(reversed(entries[max(end - limit, 0) : end]))


def part(
    oldest_first: Sequence[E],
    ordering: Ordering,
    offset: int,
    limit: int,
    value_of: SortKey[E] | None = None,
) -> Part[E]:
    """The part of a list that a page shows; `value_of` is what it is sorted by, None for creation."""
    if value_of is None:
        begin, end = 0, len(oldest_first)
        if ordering.after is not None and ordering.descending:
            end = bisect_left(oldest_first, ordering.after.order, key=_order)
        elif ordering.after is not None:
            begin = bisect_right(oldest_first, ordering.after.order, key=_order)
        if ordering.descending:
            last = max(end - offset, begin)
            found = list(reversed(oldest_first[max(last - limit, begin) : last]))
        else:
            found = list(oldest_first[begin + offset : min(begin + offset + limit, end)])
        more = end - begin > offset + len(found)
    else:
        found, more = _sorted_part(oldest_first, ordering, offset, limit, value_of)
    following = None
    if found and more:
        following = Position(value_of(found[-1]) if value_of else None, found[-1].order)
    return Part(found, len(oldest_first), following)


def _sorted_part(
    entries: Sequence[E], ordering: Ordering, offset: int, limit: int, value_of: SortKey[E]
) -> tuple[list[E], bool]:
    """Entries sorted by a value, and whether others follow.

    An entry's index stands for its order, since `entries` are in that order. After a cursor come first the
    entries with its very value, then the others with a value, then those without.
    """
    values = value_of.all(entries)
    descending, after = ordering.descending, ordering.after
    ties: list[int] = []
    others: list[Any] = values
    without: list[int] = []
    if None in values:
        others = [value for value in values if value is not None]
        without = [index for index, value in enumerate(values) if value is None]
    if after is not None:
        place = (bisect_left if descending else bisect_right)(entries, after.order, key=_order)
        if after.value is None:
            others = []
            without = [index for index in without if (index < place) == descending]
        else:
            same = [index for index, value in enumerate(values) if value == after.value]
            ties = [index for index in same if (index < place) == descending]
            others = _beyond(others, after.value, descending=descending)
    if descending:
        ties, without = ties[::-1], without[::-1]
    end = offset + limit
    found = ties[offset:end]
    found += _between(values, others, max(offset - len(ties), 0), end - len(ties), descending=descending)
    before = len(ties) + len(others)
    found += without[max(offset - before, 0) : max(end - before, 0)]
    return [entries[index] for index in found], before + len(without) > end


def _beyond(values: Sequence[Any], bound: Any, *, descending: bool) -> list[Any]:
    if descending:
        return [value for value in values if value < bound]
    return [value for value in values if value > bound]


def _between(
    values: Sequence[Any], sorted_among: Sequence[Any], begin: int, end: int, *, descending: bool
) -> list[int]:
    """The indexes of the entries from place `begin` to before `end`, in the order of some of the values.

    Which values these have is found out by values alone: sorting pairs of all takes three times as long.
    """
    if begin >= min(end, len(sorted_among)):
        return []
    if end <= _FEW:
        # From the newest on: most values grow with time, and then few have to be moved.
        first_ones = nlargest(end, reversed(sorted_among)) if descending else nsmallest(end, sorted_among)
        first, last, before = first_ones[0], first_ones[-1], 0
    else:
        ordered = sorted(sorted_among, reverse=descending)
        first, last = ordered[begin], ordered[min(end, len(ordered)) - 1]
        before = ordered.index(first)
    low, high = (last, first) if descending else (first, last)
    some = [
        (value, index) for index, value in enumerate(values) if value is not None and low <= value <= high
    ]
    some.sort(reverse=descending)
    return [index for _, index in some[begin - before : end - before]]
