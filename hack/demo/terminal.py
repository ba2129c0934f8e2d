"""Output for a person at the terminal: plain lines that can be read in a log too."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[2]


class DemoError(Exception):
    """The demo cannot go on. The text says what is wrong and what to do; `log` may have more."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


def heading(text: str) -> None:
    """Print the heading of a part of the demo."""
    print(f"\n=== {text}\n", flush=True)


def say(text: str = "") -> None:
    """Print a line."""
    print(text, flush=True)


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, indented."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (empty)"


def shown(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    program: str | None = None,
    output: bool = True,
) -> str:
    """Print a command as one would type it in the repository, run it, and print and return its output.

    Args:
        command: The program, by its name, and its arguments.
        env: Its environment; ours if None.
        program: The file to run instead of the one of that name on PATH.
        output: Whether to print its output.

    Raises:
        DemoError: It is missing, or it failed; with its standard error.
    """
    say("$ " + as_typed(command))
    try:
        ended = subprocess.run(
            [program or command[0], *command[1:]],
            env=env,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise DemoError(f"There is no {command[0]} on PATH. Install it and try again.") from None
    if output:
        sys.stdout.write(ended.stdout)
        sys.stdout.flush()
    if ended.returncode != 0:
        raise DemoError(f"`{as_typed(command)}` failed: {ended.stderr.strip()}")
    return ended.stdout


def as_typed(command: Sequence[str]) -> str:
    """A command line that a shell reads as this command, with as few quotes as possible."""
    return " ".join(shlex.quote(word) for word in command)
