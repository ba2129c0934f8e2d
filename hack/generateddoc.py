"""Writes a generated page of the documentation, or checks that it is up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def main(
    program: str, document: Path, generated: Callable[[str], str], arguments: Sequence[str] | None
) -> int:
    """Write the page, or compare it with `--check`; the exit code.

    Args:
        program: The name of the module that is run.
        document: The page.
        generated: Makes the page of what it holds now.
        arguments: Of the command line; those of the process if None.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=f"Writes {document.name}.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if the page is out of date"
    )
    check = parser.parse_args(arguments).check
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    fresh = generated(text)
    if fresh == text:
        return 0
    if check:
        print(f"{document} is out of date; run `make generate`", file=sys.stderr)
        return 1
    document.write_text(fresh, encoding="utf-8")
    print(f"wrote {document}")
    return 0
