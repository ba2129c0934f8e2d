"""The command line of both programs: help that lists the settings, the version, and nothing else.

All that can be set is set by variables of the environment, so an argument that is not known is a
mistake: a program that started all the same would run with settings that nobody wanted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from pydantic.fields import FieldInfo
from typing_extensions import override

from nightcrawler_crds import words
from nightcrawler_crds.settings import CommonSettings, variable

_INDENT = " " * 6


def read_arguments(
    program: str,
    description: str,
    settings: type[CommonSettings],
    arguments: Sequence[str] | None = None,
) -> None:
    """Answer `--help` and `--version`, and refuse every other argument.

    Args:
        program: The name of the console script, also for `python -m`.
        description: What the program is, in one sentence.
        settings: The settings that the help lists.
        arguments: What was typed behind the program's name; that of this process if None.

    Raises:
        SystemExit: With 0 after help or version; with 2, and a sentence on standard error, for
            an argument that is not known.
    """
    parser = _Parser(
        prog=program,
        description=description,
        epilog=_explained(settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{program} {version('nightcrawler')}")
    _, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"there is no argument {unknown[0]!r}: settings are variables of the environment")


class _Parser(argparse.ArgumentParser):
    """Refuses with one sentence, without the usage in front of it."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help lists what there is\n")


def _explained(settings: type[CommonSettings]) -> str:
    lines = ["Settings are variables of the environment, read once at start; an empty one counts as unset:"]
    for name, field in settings.model_fields.items():
        default = default_words(field)
        lines.append(f"\n  {variable(name)}" + (f" (default: {default})" if default else ""))
        lines.append(f"{_INDENT}{field.description}")
    return "\n".join(lines)


def default_words(field: FieldInfo) -> str:
    """A default as one would write it; empty where the description says what an unset variable means."""
    default: Any = field.default
    if field.default_factory is not None or default in (None, "", ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):  # all that are floats are durations, in seconds
        return words.format_duration_words(default)
    return str(default)
