"""Whether the tests of the bench, the embedded cluster and the tests' own helpers are due.

They test nothing that is installed, so `make test` runs them only if something that they cover has changed
since they last passed on this machine. Without a record of that, they are due.
`python -m toolstests due` prints their folder if they are; `python -m toolstests passed` records that
they passed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from localcluster import cache

_ROOT: Final = Path(__file__).resolve().parents[1]
_TESTS: Final = "tests/tools"
_COVERED: Final = ("hack", "tests/bench", "tests/support", _TESTS, "tests/conftest.py", "pyproject.toml")


def key() -> str:
    """A digest of everything that these tests cover."""
    files = sorted(file for covered in _COVERED for file in _files(_ROOT / covered))
    return cache.digest(
        *(part for file in files for part in (str(file.relative_to(_ROOT)), file.read_bytes()))
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [f for f in path.rglob("*") if f.is_file() and f.suffix != ".pyc" and "__pycache__" not in f.parts]


def main(arguments: list[str]) -> int:
    """Print or record; 2 for any other argument."""
    record = cache.root() / "tools-tests-passed"
    match arguments:
        case ["due"]:
            passed = record.read_text(encoding="utf-8").split() if record.is_file() else []
            if key() not in passed:
                print(_TESTS)
        case ["passed"]:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(key(), encoding="utf-8")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
