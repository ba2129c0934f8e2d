"""Text of others, made fit to be shown: no escape sequences, control characters or halves of characters."""

from __future__ import annotations

import time
import unicodedata
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.plaintext import last_line, one_line, plain, plain_line

SHOWN: Final[dict[str, tuple[str, str]]] = {
    "plain text": ("no such table: orders", "no such table: orders"),
    "nothing": ("", ""),
    "letters of all scripts": ("ошибка 錯誤 خطأ 👩‍🔬", "ошибка 錯誤 خطأ 👩‍🔬"),
    "colours": ("\x1b[1;31mERROR\x1b[0m disk", "ERROR disk"),
    "colours of the 24-bit kind": ("\x1b[38:2::255:0:0mERROR\x1b[m", "ERROR"),
    "a cut colour": ("ready\x1b[3", "ready"),
    "a colour in one character": ("\x9b31mERROR\x9b0m", "ERROR"),
    "a title": ("\x1b]0;own the terminal\x07ready", "ready"),
    "a hyperlink": ("see \x1b]8;;https://x.test\x1b\\the guide\x1b]8;;\x1b\\.", "see the guide."),
    "a title in one character": ("\x9d0;title\x9cready", "ready"),
    "a title that never ends": ("\x1b]0;ready", "0;ready"),
    "a device control string": ("a\x1bP1$r0m\x1b\\b", "ab"),
    "a character set": ("\x1b(Bready\x1b7\x1b8", "ready"),
    "an erased line": ("\x1b[2K\x1b[1Gready", "ready"),
    "a reset of the terminal": ("\x1bcready", "ready"),
    "an escape at the end": ("ready\x1b", "ready"),
    "a progress bar": ("10%\r 50%\r100% done", "100% done"),
    "a progress bar that goes back at its end": ("10%\r100% done\r", "100% done"),
    "a progress bar that is wiped": ("100%\r\x1b[K\r     \r", "100%"),
    "a line of Windows": ("ready\r", "ready"),
    "a spinner": ("wait |\b/\b-\b\\\b done", "wait  done"),
    "bold by overstriking": ("N\bNA\bAM\bME\bE", "NAME"),
    "backspaces at the start": ("\b\bready", "ready"),
    "a bell, a null, a delete": ("a\x07b\x00c\x7fd", "abcd"),
    "control characters from 128 on": ("a\x80b\x9fc", "abc"),
    "tabs and form feeds": ("a\tb\x0bc\x0cd\x85e", "a b c d e"),
    "an indented line": ("\tat main.go:5", " at main.go:5"),
    "text turned round": ("exe.\u202etxt.\u202c\u2066x\u2069", "exe.txt.x"),
    "half a character": ("a\ud800b", "a\ufffdb"),
    "bytes that were no UTF-8": ("a\ufffdb", "a\ufffdb"),
    "other separators": ("a\u2028b", "a\u2028b"),
}


@pytest.mark.parametrize(("line", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_line_is_shown_as_a_person_would_have_read_it(line: str, shown: str) -> None:
    assert plain_line(line) == shown


def test_the_lines_of_a_text_stay_lines() -> None:
    assert plain("\x1b[1ma\x1b[0m\n\n  b\r\n") == "a\n\n  b\n"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("\n \n", ""),
        ("reading\nno such table\n\n", "no such table"),
        ("no such table\n\x1b[0m\n\x1b]0;\x07\n", "no such table"),
        ("loading\n 10%\r\x1b[31m 20%  failed\x1b[0m\r\n", "20% failed"),
        ("x" * 600, "x" * 500),
    ],
)
def test_the_last_line_is_the_last_that_is_not_empty(text: str, last: str) -> None:
    assert last_line(text) == last


def test_a_text_on_one_line_has_no_gaps_and_no_end_that_is_too_far() -> None:
    assert one_line(" 0/3 nodes:\n\x1b[1m 3\tInsufficient\u2028cpu. ") == "0/3 nodes: 3 Insufficient cpu."
    assert one_line("a" * 9 + " b", longest=10) == "a" * 9


ANYTHING: Final = st.text() | st.text("\x1b[]()\\;?0123m\x07\x9b\x9c\x9d\x90\r\b\t aé\u202e\udc80")


@given(ANYTHING)
def test_no_text_keeps_terminal_control_sequences(text: str) -> None:
    shown = plain(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c != "\n"]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()


@given(ANYTHING)
def test_what_is_plain_stays_as_it_is(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" ")))
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert plain_line(text) == text


@pytest.mark.parametrize(
    "part", ["\x1b]", "\x9d", "\x1b]0;a", "\x90\x1b", "\x1b[", "\x1b[0;", "\b", "a\r", "\x1b("]
)
def test_no_text_takes_long(part: str) -> None:
    text = part * 100_000
    before = time.process_time()
    plain_line(text)
    assert time.process_time() - before < 2
