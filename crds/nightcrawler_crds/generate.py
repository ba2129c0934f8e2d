"""Writes what is made from the models: the custom resources' YAML and the tables of the README.

`python -m nightcrawler_crds.generate` writes; with `--check` it compares, and fails if a file is not
what it would write (`make generate`, `make verify`). The same models always give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from typing_extensions import override

from nightcrawler_crds import names, readme, reasons
from nightcrawler_crds.structural import Json, structural
from nightcrawler_crds.v1alpha1 import (
    ComputeProfileSpec,
    ComputeProfileStatus,
    EnvironmentSpec,
    EnvironmentStatus,
    WorkflowExecutionSpec,
    WorkflowExecutionStatus,
    WorkflowSpec,
    WorkflowStatus,
)
from nightcrawler_crds.v1alpha1.base import ApiModel

FOLDER: Final = Path(__file__).resolve().parents[1]
CATEGORY: Final = "nightcrawler"
_HEADER: Final = "# Generated from the models in nightcrawler_crds; change those and run `make generate`.\n"
_LINE: Final = 110


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; those of priority 1 only with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a custom resource has beside its two models."""

    resource: names.Resource
    short_name: str
    description: str
    spec: type[ApiModel]
    status: type[ApiModel]
    columns: Sequence[Column]
    max_name: int | None = None
    selectable: Sequence[str] = ()


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "When it was created.", "date")

KINDS: Final = (
    Kind(
        names.WORKFLOWS,
        "wf",
        "A Workflow says what to run: steps, with what, where, and when. Applying one runs nothing; "
        "a WorkflowExecution is one run of it.",
        WorkflowSpec,
        WorkflowStatus,
        (
            Column("Accepted", _condition("Accepted", "status"), "Whether it can run."),
            # The one of the two that is set: a union takes the first that is there.
            Column("Schedule", ".spec.config.schedule['cron','interval']", "When runs start by themselves."),
            Column("Suspended", ".spec.suspend", "Whether the schedule pauses.", "boolean"),
            Column("Active", ".status.active", "Executions in flight.", "integer"),
            Column("Last run", ".status.lastRunTime", "When the latest execution was created.", "date"),
            Column("Last phase", ".status.lastPhase", "Phase of the latest execution."),
            _AGE,
            Column("Message", _condition("Accepted", "message"), "Why it cannot run.", priority=1),
        ),
        max_name=names.MAX_WORKFLOW_NAME,
    ),
    Kind(
        names.EXECUTIONS,
        "wfe",
        "A WorkflowExecution is one run of a Workflow. Creating one runs it; it cannot be changed, "
        "only cancelled.",
        WorkflowExecutionSpec,
        WorkflowExecutionStatus,
        (
            Column("Workflow", ".spec.workflowRef.name", "The workflow that it runs."),
            Column("Phase", ".status.phase", "How far it is."),
            Column("Progress", ".status.progress", "Steps completed, of all."),
            Column("Environment", ".status.environment", "Where it runs."),
            _AGE,
            # Last, since it is as long as a sentence.
            Column("Message", ".status.message", "Why it waits, or how it ended."),
        ),
        max_name=names.MAX_EXECUTION_NAME,
        selectable=(".status.phase",),
    ),
    Kind(
        names.ENVIRONMENTS,
        "wfenv",
        "An Environment is a place to run: the nodes that steps use when a run names it.",
        EnvironmentSpec,
        EnvironmentStatus,
        (
            Column("Display name", ".spec.displayName", "Name for people."),
            Column("Aliases", ".spec.aliases", "Other names."),
            Column("Default", ".spec.default", "Whether runs that name no environment go here.", "boolean"),
            _AGE,
        ),
    ),
    Kind(
        names.COMPUTE_PROFILES,
        "wfprofile",
        "A ComputeProfile is a preset of resources that workflows name in config.computeProfile. "
        "Accepted and kept; takes effect in a later release.",
        ComputeProfileSpec,
        ComputeProfileStatus,
        (
            Column("Display name", ".spec.displayName", "The name that workflows use."),
            Column("CPU", ".spec.resources.cpu", "CPU of a step."),
            Column("Memory", ".spec.resources.memory", "Memory of a step."),
            Column("GPU", ".spec.resources.gpu", "GPUs of a step."),
            _AGE,
        ),
    ),
)


def definition(kind: Kind) -> Json:
    """The CustomResourceDefinition of a kind."""
    resource = kind.resource
    version: Json = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    version["schema"] = {"openAPIV3Schema": _schema(kind)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _column(column: Column) -> Json:
    printed: Json = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.priority:
        printed["priority"] = column.priority
    return {**printed, "description": column.description}


def _schema(kind: Kind) -> Json:
    """The schema of the whole object."""
    metadata: Json = {"type": "object"}
    schema: Json = {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": metadata,
            "spec": structural(kind.spec),
            "status": structural(kind.status),
        },
    }
    if kind.max_name is not None:
        # Named here, so that the rules may say that the name is what they are about.
        metadata["properties"] = {"name": {"type": "string"}}
        schema["x-kubernetes-validations"] = _name_rules(kind.resource.kind, kind.max_name)
    return schema


def _name_rules(kind: str, longest: int) -> list[Json]:
    """Names of Jobs and revisions begin with these names, and labels hold them."""
    return [
        {
            "rule": f"size(self.metadata.name) <= {longest}",
            "message": f"the name of a {kind} has at most {longest} characters",
            "fieldPath": ".metadata.name",
        },
        {
            "rule": f"self.metadata.name.matches('{names.DNS_LABEL_PATTERN}')",
            "message": f"the name of a {kind} is lower-case letters, digits and '-', a letter first",
            "fieldPath": ".metadata.name",
        },
    ]


class _Dumper(yaml.SafeDumper):
    """Repeats what is there twice; an anchor would send the reader looking for it."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def files(folder: Path) -> Mapping[Path, str]:
    """What is to be in which file, given the README that is there.

    Raises:
        MarkersError: If the README lacks the markers of a table.
        ReasonsError: If a reason lacks its docstring.
    """
    made = {
        folder / f"{kind.resource.plural}.yaml": _HEADER
        + yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, width=_LINE, allow_unicode=True)
        for kind in KINDS
    }
    document = folder / "README.md"
    made[document] = readme.filled(document.read_text(encoding="utf-8"), _tables())
    return made


def _tables() -> Mapping[str, str]:
    """The README's tables by their names."""
    made = {"reasons": reasons.tables()}
    for kind in KINDS:
        for part in ("spec", "status"):
            schema = _schema(kind)["properties"][part]
            made[f"{kind.resource.kind} {part}"] = readme.fields(schema)
    return made


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Write or check the files; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nightcrawler_crds.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is out of date")
    check = parser.parse_args(arguments).check
    stale = [
        (path, text)
        for path, text in files(folder).items()
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
