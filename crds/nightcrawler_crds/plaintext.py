"""Text of programs, kubelets and API servers, made fit to be shown: in a status, an Event, a log's row; pure.

Programs write for terminals: colours, titles, hyperlinks, progress bars. In `kubectl get` such text would
command the reader's own terminal, and in a dashboard it is litter. What stays is what a person would have
read in the end. The sequences are those of ECMA-48 (and of xterm, for OSC); bidirectional embeddings,
overrides and isolates go too, for they reorder what others write behind them (Unicode, UAX 9, and UTR 36).
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 500
"""Characters of another's text within a sentence of ours."""

_SEQUENCE: Final = re.compile(
    # Strings up to their end (OSC: titles, hyperlinks; DCS, SOS, PM, APC). One that never ends loses only
    # its start, or it would swallow the line. No start can be inside of one, so that no text is slow.
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x9c|\x1b\\)"
    # CSI: colours, moves, erasures; the last byte may have been cut off.
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"
    # All others: choices of character sets, saved cursors.
    r"|\x1b[ -/]*+[0-~]?"
)
_SPACES: Final = re.compile("[\t\v\f\x85]")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
"""Halves of characters, from bytes that were no UTF-8: they cannot be written as UTF-8 again."""


def plain_line(line: str) -> str:
    """A line without what only a terminal understands; of a progress bar its last state."""
    if line.isprintable():
        return line
    bare = _SEQUENCE.sub("", line)
    states = [state for state in bare.split("\r") if state and not state.isspace()]
    # A line that is blank is kept as it is: it may set paragraphs of a log apart.
    state = states[-1] if states else bare.replace("\r", "")
    if "\b" in state:
        state = _overwritten(state)
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _SPACES.sub(" ", state)))


def plain(text: str) -> str:
    """Each line of a text as `plain_line` makes it."""
    return text if text.isprintable() else "\n".join(map(plain_line, text.split("\n")))


def one_line(text: str, longest: int = LONGEST) -> str:
    """All of a text on one line, within a sentence of ours."""
    return " ".join(plain(text).split())[:longest].rstrip()


def last_line(text: str, longest: int = LONGEST) -> str:
    """The last line of a text that says something, on which most programs say why they ended."""
    for line in reversed(text.split("\n")):
        if said := one_line(line, longest):
            return said
    return ""


def _overwritten(state: str) -> str:
    """What is left of a text in which backspaces move to the left and other characters replace (spinners)."""
    shown: list[str] = []
    column = 0
    for character in state:
        if character == "\b":
            column = max(0, column - 1)
        else:
            shown[column : column + 1] = character
            column += 1
    return "".join(shown)
