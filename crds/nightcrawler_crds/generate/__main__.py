"""Generates the custom resources' YAML, the chart's copy, and the README's tables from the models.

`python -m nightcrawler_crds.generate` writes; with `--check` it fails if a file is out of date
(`make generate`, `make verify`). The output is deterministic.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from typing_extensions import override

from nightcrawler_crds.generate import readme, reasons
from nightcrawler_crds.generate.kinds import KINDS, Kind, definition, object_schema

FOLDER: Final = Path(__file__).resolve().parents[2]
CHART: Final = FOLDER.parent / "charts" / "nightcrawler" / "templates" / "crds"
"""Templates of the chart, because Helm does not upgrade what is in a chart's `crds/`."""
_HEADER: Final = "# Generated from the models in nightcrawler_crds; change those and run `make generate`.\n"
_LINE: Final = 110
_CHART_METADATA: Final = """
metadata:
  annotations:
    helm.sh/resource-policy: keep
  labels: {{- include "nightcrawler.labels" . | nindent 4 }}
"""


class _Dumper(yaml.SafeDumper):
    """Writes repeated values in full, without anchors."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(kind: Kind) -> str:
    made = yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, width=_LINE, allow_unicode=True)
    return f"{_HEADER}{made}"


def _template(kind: Kind) -> str:
    """The chart's template; uninstalling the chart keeps it, and so all workflows."""
    annotated = _yaml(kind).replace("{{", '{{ "{{" }}').replace("\nmetadata:\n", _CHART_METADATA, 1)
    return f"{{{{- if .Values.crds.install }}}}\n{annotated}{{{{- end }}}}\n"


def files(folder: Path, chart: Path = CHART) -> Mapping[Path, str]:
    """What is to be in which file, given the README that is there.

    Raises:
        MarkersError: If the README lacks the markers of a table.
        ReasonsError: If a reason lacks its docstring.
    """
    made = {folder / f"{kind.resource.plural}.yaml": _yaml(kind) for kind in KINDS}
    made |= {chart / f"{kind.resource.plural}.yaml": _template(kind) for kind in KINDS}
    document = folder / "README.md"
    made[document] = readme.filled(document.read_text(encoding="utf-8"), _tables())
    return made


def _tables() -> Mapping[str, str]:
    """The README's tables by their names."""
    made = {"reasons": reasons.tables()}
    for kind in KINDS:
        for part in ("spec", "status"):
            schema = object_schema(kind)["properties"][part]
            made[f"{kind.resource.kind} {part}"] = readme.fields(schema)
    return made


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER, chart: Path = CHART) -> int:
    """Write or check the files; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nightcrawler_crds.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is out of date")
    check = parser.parse_args(arguments).check
    stale = [
        (path, text)
        for path, text in files(folder, chart).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if check:
            sys.stderr.write(f"{path} is not what the models make of it; run `make generate`\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
