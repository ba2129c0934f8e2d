"""Progress for the person at the terminal.

Everything goes to standard error: standard output belongs to the answers of
a command.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"[cluster] {text}", file=sys.stderr, flush=True)


def elapsed(seconds: float) -> str:
    """A duration as people say it: ``"4.2 s"``, ``"3 min 20 s"``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


@contextmanager
def heartbeat(what: str, every: float = 15.0, detail: Callable[[], str] = str) -> Iterator[None]:
    """Say that `what` begins, that it still goes on, and how long it took.

    Args:
        what: The work, as a noun phrase: "the Kubernetes components".
        every: Seconds between two lines.
        detail: Gives what else is known at that moment, such as a count; may be empty.
    """
    began = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every):
            more = detail()
            tail = f", {more}" if more else ""
            say(f"{what}: still running after {elapsed(time.monotonic() - began)}{tail}")

    say(f"{what} ...")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    say(f"{what}: done in {elapsed(time.monotonic() - began)}")
