"""Whether a list is still what it was, told without looking at it; pure."""

from __future__ import annotations


class Edition:
    """What a list was made of: good until anything changes that the list may show.

    It is handed out with answers, so that they can be kept. There is a new one only when the last
    one's time is over and somebody asks: a change costs next to nothing however often it comes.
    """

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current = True


class Editions:
    """The editions of one list, one after another."""

    __slots__ = ("_current",)

    def __init__(self) -> None:
        self._current: Edition | None = None

    def current(self) -> Edition:
        """That of the list as it is now."""
        if self._current is None:
            self._current = Edition()
        return self._current

    def end(self) -> None:
        """Something has changed."""
        if self._current is not None:
            self._current.current = False
            self._current = None
