"""Waiting for a state by polling."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

_BETWEEN_LOOKS: Final = 0.05
_SHOWN: Final = 6_000


def eventually(
    look: Callable[[], T], *, within: float = 60.0, what: str = "", until: Callable[[T], Any] = bool
) -> T:
    """What `look` returns, once `until` holds of it (by default: once it is true).

    A failed assertion inside `look` or `until` counts as "not yet", so both may assert.

    Args:
        look: Reads the state.
        within: For how many seconds to go on.
        what: What is waited for, as the end of "waited in vain for ...".
        until: Whether a state is the one that is waited for.

    Raises:
        AssertionError: It did not come in time; with the last state.
    """
    deadline = time.monotonic() + within
    while True:
        seen: Any = None
        why: AssertionError | None = None
        try:
            seen = look()
            if until(seen):
                return seen  # type: ignore[no-any-return] # it is what look returned
        except AssertionError as error:
            why = error
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {within:g} s in vain for {what or 'it'}; last seen:\n{_shown(why or seen)}"
            )
        time.sleep(_BETWEEN_LOOKS)


def always(look: Callable[[], T], *, during: float, what: str) -> None:
    """Assert that `look` is true all the time, for `during` seconds.

    Raises:
        AssertionError: Once it is not.
    """
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        seen = look()
        assert seen, f"{what} did not stay so; seen: {_shown(seen)}"
        time.sleep(_BETWEEN_LOOKS)


def _shown(seen: object) -> str:
    try:
        text = json.dumps(seen, indent=1, ensure_ascii=False)
    except TypeError:
        text = str(seen)
    return text[:_SHOWN]
