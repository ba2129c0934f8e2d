"""The command line of both programs: `--help` with the settings, `--version`, commands of the program's own.

All settings are environment variables, so any other argument is a mistake, and is refused rather than
ignored.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from pydantic.fields import FieldInfo
from typing_extensions import override

from nightcrawler_crds import words
from nightcrawler_crds.settings import CommonSettings
from nightcrawler_crds.variables import variable

_INDENT = " " * 6


def read_arguments(
    program: str,
    description: str,
    settings: type[CommonSettings],
    arguments: Sequence[str] | None = None,
    *,
    commands: Mapping[str, str] | None = None,
) -> str:
    """Handle `--help` and `--version`, and refuse every other argument but one of the commands.

    Args:
        program: The name of the console script, also for `python -m`.
        description: What the program is, in one sentence.
        settings: The settings that the help lists.
        arguments: The arguments without the program's name; those of this process if None.
        commands: What else the program does when it is given one of these words, and what for.

    Returns:
        The command; empty if there is none, and the program is to run.

    Raises:
        SystemExit: With 0 after help or version; with 2, and a message on standard error, for
            an unknown argument.
    """
    parser = _Parser(
        prog=program,
        description=description,
        epilog=_explained(settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{program} {version('nightcrawler')}")
    if commands:
        listed = "; ".join(f"{command}: {what}" for command, what in commands.items())
        parser.add_argument("command", nargs="?", choices=["", *commands], default="", help=listed)
    found, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"there is no argument {unknown[0]!r}: settings are variables of the environment")
    command: str = getattr(found, "command", "")
    return command


class _Parser(argparse.ArgumentParser):
    """Prints errors as one sentence, without the usage."""

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
    """A default as it is written; empty if the description says what an unset variable means."""
    default: Any = field.default
    if field.default_factory is not None or default in (None, "", ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):  # every float is a duration in seconds
        return words.format_duration_words(default)
    if isinstance(default, tuple):
        return ", ".join(default)
    return str(default)
