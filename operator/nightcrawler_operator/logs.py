"""Structured log context: every record logged within a reconcile carries its execution.

`about` sets the names for the current task, and a filter adds them to every record logged in it, by
libraries too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from typing_extensions import override

from nightcrawler_crds.logformat import Format, handler

_CLOSING: Final = "an error occurred during closing of asynchronous generator"
_NOTHING: Final[Mapping[str, str]] = {}
_subject: ContextVar[Mapping[str, str]] = ContextVar("subject", default=_NOTHING)


@contextmanager
def about(
    *, namespace: str = "", execution: str = "", step: str = "", environment: str = ""
) -> Iterator[None]:
    """Add these names to records logged within the block; names not given keep their outer value."""
    given = {"namespace": namespace, "execution": execution, "step": step, "environment": environment}
    token = _subject.set({**_subject.get(), **{name: value for name, value in given.items() if value}})
    try:
        yield
    finally:
        _subject.reset(token)


class SubjectFilter(logging.Filter):
    """Adds the names set by `about` to each record; drops none."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Add what `about` has set, unless the call gave the same name by `extra`."""
        for name, value in _subject.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class ClosedWatchFilter(logging.Filter):
    """Drops what asyncio logs if a watch of Kopf is closed in the middle of an event, when the process ends.

    Kopf's context manager goes on after its generator is closed. Nothing is lost, but a traceback at a
    shutdown reads like a bug.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is about anything else."""
        message = record.getMessage()
        return not (message.startswith(_CLOSING) and "infinite_watch" in message)


def set_up(level: str, form: Format) -> None:
    """Log to standard error, from `level` on; replaces earlier handlers."""
    out = handler(form)
    # On the handler and not on a logger: a logger's filters do not see its children's records.
    out.addFilter(SubjectFilter())
    logging.basicConfig(level=level.upper(), handlers=[out], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("asyncio").addFilter(ClosedWatchFilter())
    _quieten(logging.getLogger().level)


def _quieten(level: int) -> None:
    """Silence what libraries log for every event and request; their own information is for debugging."""
    about_itself = logging.INFO if level <= logging.DEBUG else logging.WARNING
    for name in ("kopf", "kubernetes", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(max(level, about_itself))
    logging.getLogger("kopf.objects").setLevel(max(level, logging.WARNING))
