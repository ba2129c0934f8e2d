"""Generates the tables of conditions and reasons from the docstrings in `v1alpha1.conditions`.

The sections of that module, written `# --- Accepted ---`, are the tables here.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nightcrawler_crds.v1alpha1 import conditions

_SECTION: Final = re.compile(r"^# --- (.+) ---$", re.MULTILINE)


class ReasonsError(Exception):
    """The tables cannot be generated; the message says why."""


@dataclass(frozen=True, slots=True)
class Word:
    """A condition's type or a reason: its section, value and meaning."""

    section: str
    value: str
    meaning: str


def documented(source: str) -> Iterator[Word]:
    """Every constant of the source, in order; the section is empty before the first heading.

    Raises:
        ReasonsError: If a constant has no docstring.
    """
    headings = [(source.count("\n", 0, found.start()) + 1, found[1]) for found in _SECTION.finditer(source)]
    statements = ast.parse(source).body
    for statement, following in zip(statements, [*statements[1:], None], strict=True):
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(value))):
                pass
            case _:
                continue
        match following:
            case ast.Expr(value=ast.Constant(value=str(meaning))):
                above = [title for line, title in headings if line < statement.lineno]
                yield Word(above[-1] if above else "", value, inspect.cleandoc(meaning).replace("\n", " "))
            case _:
                raise ReasonsError(f"conditions.{name} has no docstring that says what it means")


def tables(source: str | None = None) -> str:
    """The tables, as Markdown."""
    words = list(documented(inspect.getsource(conditions) if source is None else source))
    lines = []
    for section in dict.fromkeys(word.section for word in words):
        if section:
            lines += ["", f"**{section[0].upper()}{section[1:]}**"]
        lines += ["", f"| {'reason' if section else 'condition'} | meaning |", "|---|---|"]
        lines += [f"| `{word.value}` | {word.meaning} |" for word in words if word.section == section]
    return "\n".join(lines).strip("\n")
