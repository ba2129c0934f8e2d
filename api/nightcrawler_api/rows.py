"""Rows of lists as ready JSON, each made once per version of what it shows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import msgspec

_MOST: Final = 20_000


class RowCache:
    """The last rows that were asked for, by the UID of the object; a few hundred bytes each."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._rows: OrderedDict[str, tuple[Hashable, msgspec.Raw]] = OrderedDict()

    def get(self, uid: str, version: Hashable, make: Callable[[], Mapping[str, Any]]) -> msgspec.Raw:
        """The row of an object; made if what is kept is of another version."""
        kept = self._rows.get(uid)
        if kept is not None and kept[0] == version:
            self._rows.move_to_end(uid)
            return kept[1]
        row = msgspec.Raw(msgspec.json.encode(make()))
        self._rows[uid] = (version, row)
        self._rows.move_to_end(uid)
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)
        return row
