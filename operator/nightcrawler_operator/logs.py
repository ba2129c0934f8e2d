"""Logs that name what they are about: whatever is logged within a reconcile carries its execution.

Nobody has to pass names along: `about` sets them for the task that works on an execution, and a
filter puts them on every record that is made in it, those of libraries included.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from typing_extensions import override

from nightcrawler_crds.logformat import Format, handler

_NOTHING: Final[Mapping[str, str]] = {}
_subject: ContextVar[Mapping[str, str]] = ContextVar("subject", default=_NOTHING)


@contextmanager
def about(*, namespace: str = "", execution: str = "", step: str = "") -> Iterator[None]:
    """Within this block, records are about these; what is not named stays as it is outside."""
    given = {"namespace": namespace, "execution": execution, "step": step}
    token = _subject.set({**_subject.get(), **{name: value for name, value in given.items() if value}})
    try:
        yield
    finally:
        _subject.reset(token)


class SubjectFilter(logging.Filter):
    """Puts on each record what it is about; lets all of them through."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Add what `about` has set, unless whoever logged it said otherwise by `extra`."""
        for name, value in _subject.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def set_up(level: str, form: Format) -> None:
    """Log to standard error, from `level` on; replaces what was set up before."""
    out = handler(form)
    # On the handler and not on a logger: a logger's filters do not see its children's records.
    out.addFilter(SubjectFilter())
    logging.basicConfig(level=level.upper(), handlers=[out], force=True)
    logging.captureWarnings(capture=True)
    _quieten(logging.getLogger().level)


def _quieten(level: int) -> None:
    """Keep libraries from telling of every event and request; of themselves only when somebody debugs."""
    about_itself = logging.INFO if level <= logging.DEBUG else logging.WARNING
    for name in ("kopf", "kubernetes", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(max(level, about_itself))
    logging.getLogger("kopf.objects").setLevel(max(level, logging.WARNING))
