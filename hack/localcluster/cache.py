"""What is built once and kept: under the user's cache directory.

An entry is a folder named by what it was made from, so that it never has to
be brought up to date: other sources make another entry. It appears whole or
not at all, and two processes that want the same one build it once.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .progress import say


def root() -> Path:
    """The project's folder below the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "nightcrawler"


def digest(*parts: bytes | str) -> str:
    """Sixteen hexadecimal characters that stand for exactly these parts."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(f"{len(raw)}:".encode() + raw)
    return total.hexdigest()[:16]


def forget(name: str, current: Path, kept: int) -> None:
    """Remove the entries of a name that were not made or asked for lately.

    Args:
        name: What they are.
        current: The entry that is asked for now.
        kept: How many may stay.
    """
    current.touch()
    made = sorted(root().glob(f"{name}-*"), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in made[kept:]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` among all processes of this user."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is preparing {name}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def entry(name: str, key: str, build: Callable[[Path], None]) -> Path:
    """The folder of what `build` makes, built now unless it is there already.

    Args:
        name: What it is; names the lock and begins the folder's name.
        key: Stands for all that it is made from.
        build: Fills the empty folder that it is given.
    """
    folder = root() / f"{name}-{key}"
    if folder.is_dir():
        return folder
    with locked(name):
        if folder.is_dir():
            return folder
        for abandoned in root().glob(f".{name}-*"):
            shutil.rmtree(abandoned)  # Its maker was killed, and so no longer holds the lock.
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root()))
        try:
            build(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return folder
