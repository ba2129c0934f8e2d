"""JSON that is nested deeper than any stack: bodies of requests, and lines that programs print."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nightcrawler_api.http.nesting import is_deeper


@pytest.mark.parametrize(
    ("text", "deeper"),
    [
        (b"[[[]]]", False),
        (b"[[[[]]]]", True),
        (b'{"a": [{"b": [', True),
        (b"[][][][][]", False),
        (b'["[[[[[", "\\"[[[[", "\\\\", []]', False),
        (b'["\\\\", [[[', True),
        (b'"[[[[[[', False),
        (b"", False),
    ],
)
def test_brackets_are_counted_except_in_strings(text: bytes, deeper: bool) -> None:
    assert is_deeper(text, 3) is deeper


# As the facade runs. A stack that overflows ends the process: each has its own.
PROGRAM = """
import sys
from nightcrawler_crds import runtime
from nightcrawler_api.errors import BadBody
from nightcrawler_api.executions.loglines import level_of
from nightcrawler_api.http.json_body import parse

runtime.read_deep_json()
text = sys.argv[1] * 150_000
if level_of('{"level": ' + text) != "info" or level_of('{"level": "error", "x": ' + text) != "info":
    sys.exit("a line has a level that it does not tell")
try:
    parse(text.encode())
except BadBody as error:
    refused = error.status_code == 400 and "nested more than 100 levels deep" in error.detail
    sys.exit(0 if refused else error.detail)
"""


@pytest.mark.parametrize("opening", ["[", '{"a":', '[1e999,{"b":'])
def test_the_facade_survives_json_of_any_depth(opening: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, opening], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended
