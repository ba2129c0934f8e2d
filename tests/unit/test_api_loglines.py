"""Lines of logs: time, level, message, whatever a program prints."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.executions.loglines import level_of, parse_log


def test_a_line_has_its_time_of_the_day_and_in_full() -> None:
    assert parse_log("2025-07-10T14:45:10.482113205Z Starting data preparation...\n") == [
        {
            "timestamp": "14:45:10",
            "level": "info",
            "message": "Starting data preparation...",
            "time": "2025-07-10T14:45:10.482113205Z",
        }
    ]


@pytest.mark.parametrize(
    ("stamp", "clock", "time"),
    [
        ("2025-07-10T16:45:10.482113205+02:00", "14:45:10", "2025-07-10T14:45:10.482113205Z"),
        ("2025-07-10T23:15:10-05:30", "04:45:10", "2025-07-11T04:45:10Z"),
        ("2025-07-10T14:45:10.5+00:00", "14:45:10", "2025-07-10T14:45:10.5Z"),
    ],
)
def test_a_time_of_another_zone_is_shown_in_utc(stamp: str, clock: str, time: str) -> None:
    assert parse_log(f"{stamp} x\n") == [{"timestamp": clock, "level": "info", "message": "x", "time": time}]


@pytest.mark.parametrize("stamp", ["2025-13-10T16:45:10+02:00", "0001-01-01T00:00:00+02:00"])
def test_what_only_looks_like_a_time_is_text(stamp: str) -> None:
    [line] = parse_log(f"{stamp} x\n")
    assert (line["timestamp"], line["message"]) == ("00:00:00", f"{stamp} x")


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", []),
        ("2025-07-10T14:45:10Z \n", [""]),
        ("2025-07-10T14:45:10Z\n", [""]),
        ("2025-07-10T14:45:10Z a\n2025-07-10T14:45:11Z b", ["a", "b"]),
        ("2025-07-10T14:45:10Z   indented\n", ["  indented"]),
        ("2025-07-10T14:45:10Z windows\r\n", ["windows"]),
        # Only a line feed ends a line; other separators are text.
        ("2025-07-10T14:45:10Z a\u2028b\x0bc\x85d\n", ["a\u2028b c d"]),
        ("2025-07-10T14:45:10Z \x1b[32mready\x1b[0m\x07\n", ["ready"]),
        ("2025-07-10T14:45:10Z  10%\r 50%\r100%\r\n", ["100%"]),
        ("2025-07-10T14:45:10Z 2025-07-10T14:45:09Z mine\n", ["2025-07-10T14:45:09Z mine"]),
        (
            "unable to retrieve container logs for containerd://x",
            ["unable to retrieve container logs for containerd://x"],
        ),
    ],
)
def test_lines_are_cut_at_line_feeds_and_their_text_is_kept(text: str, messages: list[str]) -> None:
    assert [line["message"] for line in parse_log(text)] == messages


def test_a_line_of_the_kubelet_itself_has_no_time() -> None:
    assert parse_log("unable to retrieve")[0] == {
        "timestamp": "00:00:00",
        "level": "info",
        "message": "unable to retrieve",
    }


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]))))
def test_whatever_printable_text_a_program_prints_is_shown_as_it_is(lines: list[str]) -> None:
    log = "".join(f"2025-07-10T14:45:10.1Z {line}\n" for line in lines)
    parsed = parse_log(log)
    assert [line["message"] for line in parsed] == lines
    assert all(line["level"] in {"info", "warning", "error"} for line in parsed)


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("Starting data preparation...", "info"),
        ("INFO: ready", "info"),
        ("DEBUG loading", "info"),
        ("WARNING: low on disk", "warning"),
        ("warn: low on disk", "warning"),
        ("[WARN] low on disk", "warning"),
        ("ERROR:root:no such file", "error"),
        ("error: no such file", "error"),
        ("Error: no such file", "error"),
        ("[error] no such file", "error"),
        ("<ERR> no such file", "error"),
        ("FATAL no such file", "error"),
        ("CRITICAL - no such file", "error"),
        ("panic: runtime error", "error"),
        ("2025-07-10 14:45:10,123 ERROR no such file", "error"),
        ("2025-07-10T14:45:10.123Z WARN no such file", "warning"),
        ("2025-07-10T14:45:10+02:00 | ERROR | no such file", "error"),
        ("[2025-07-10 14:45:10] [ERROR] no such file", "error"),
        ("no ERROR here", "info"),
        ("errors: 0", "info"),
        ("error_count=0", "info"),
        ("error-free so far", "info"),
        ("warnings follow", "info"),
        ("T ERROR", "info"),
        ("", "info"),
        ("...", "info"),
        ('time="2025-07-10T14:45:10Z" level=warning msg="low on disk"', "warning"),
        ('ts=1752158710.1 caller=main.go:7 level="error" err="no such file"', "error"),
        ("level=info msg=ERROR", "info"),
        ("lvl=crit msg=ERROR", "error"),
        ('msg="no error" loglevel=error', "info"),
        ("say level=error", "info"),
        ('{"level": "error", "msg": "x"}', "error"),
        ('{"level": "WARN"}', "warning"),
        ('{"level": "info", "msg": "ERROR"}', "info"),
        ('{"level": 50}', "error"),
        ('{"level": 40}', "warning"),
        ('{"level": 30}', "info"),
        ('{"level": true}', "info"),
        ('{"level": null, "severity": "ERROR"}', "error"),
        ('{"severity": "Warning"}', "warning"),
        ('{"level": ["error"]}', "info"),
        ('{"level": "error"', "info"),
        ("{error}", "info"),
        ('{"a":' * 3000, "info"),
    ],
)
def test_a_line_has_the_level_that_it_gives_itself(message: str, level: str) -> None:
    assert level_of(message) == level


@pytest.mark.parametrize(
    "line", ["\x1b[31mERROR\x1b[0m no such file", " 10%\r 20%\r\x1b[K[error] no such file\r"]
)
def test_the_level_is_read_from_what_is_shown(line: str) -> None:
    (shown,) = parse_log(f"2025-07-10T14:45:10Z {line}\n")
    assert shown["level"] == "error"
    assert shown["message"].endswith("no such file")


@given(
    st.text("0123456789TZ-:.,[]| ", max_size=5000),
    st.sampled_from(["", "x", "ERROR", "{", "a=", "level=error"]),
)
def test_no_line_takes_long_to_read(start: str, end: str) -> None:
    assert min(took(start + end) for _ in range(3)) < 0.1  # the collector may run in one of them


def took(message: str) -> float:
    """Seconds of CPU time for the level of a line."""
    before = time.process_time()
    level_of(message)
    return time.process_time() - before


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_any_json_has_a_level(fields: dict[str, object]) -> None:
    assert level_of(json.dumps(fields)) in {"info", "warning", "error"}
