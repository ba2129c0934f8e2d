"""Sanitizes text of programs, kubelets and API servers for a status, an Event or a log line. Pure.

Programs write terminal sequences: colours, titles, hyperlinks, progress bars. In `kubectl get` these would
control the user's terminal, and in a dashboard they are noise. The result is the text that a terminal would
show in the end. The sequences are those of ECMA-48 (and of xterm, for OSC); bidirectional embeddings,
overrides and isolates are removed too, because they reorder the text that follows (UAX 9, UTR 36).
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 500
"""The most characters of such text within one of our messages."""

_SEQUENCE: Final = re.compile(
    # Strings with their terminator (OSC: titles, hyperlinks; DCS, SOS, PM, APC). Of an unterminated one only
    # the start is removed, not the rest of the line. Strings cannot nest, so matching is linear.
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x9c|\x1b\\)"
    # CSI: colours, cursor moves, erasures; the last byte may have been cut off.
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"
    # Others: character sets, saved cursors.
    r"|\x1b[ -/]*+[0-~]?"
)
_SPACES: Final = re.compile("[\t\v\f\x85]")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
"""Surrogates, from bytes that were not UTF-8; they cannot be encoded as UTF-8."""


def plain_line(line: str) -> str:
    """A line without terminal sequences; of a progress bar only the last state."""
    if line.isprintable():
        return line
    bare = _SEQUENCE.sub("", line)
    states = [state for state in bare.split("\r") if state and not state.isspace()]
    # A blank line is kept: it may separate paragraphs of a log.
    state = states[-1] if states else bare.replace("\r", "")
    if "\b" in state:
        state = _overwritten(state)
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _SPACES.sub(" ", state)))


def plain(text: str) -> str:
    """Apply `plain_line` to each line."""
    return text if text.isprintable() else "\n".join(map(plain_line, text.split("\n")))


def one_line(text: str, longest: int = LONGEST) -> str:
    """The whole text on one line, for use within a message."""
    return " ".join(plain(text).split())[:longest].rstrip()


def last_line(text: str, longest: int = LONGEST) -> str:
    """The last line that is not blank, which for most programs is the error."""
    for line in reversed(text.split("\n")):
        if shown := one_line(line, longest):
            return shown
    return ""


def _overwritten(state: str) -> str:
    """Apply backspaces, as a terminal does: the next character overwrites (spinners)."""
    shown: list[str] = []
    column = 0
    for character in state:
        if character == "\b":
            column = max(0, column - 1)
        else:
            shown[column : column + 1] = character
            column += 1
    return "".join(shown)
