"""The manifests in examples/, as the tests that check or run them find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parents[2] / "examples"
NAMES: Final = sorted(file.stem for file in (FOLDER / "run").glob("*.yaml"))
"""The examples that can be run, by the name of their file and Workflow."""


def documents(file: Path) -> list[dict[str, Any]]:
    """The objects of a manifest."""
    return [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]


def of_kind(file: Path, kind: str) -> list[dict[str, Any]]:
    """The objects of one kind in a manifest."""
    return [document for document in documents(file) if document["kind"] == kind]


def workflow(name: str) -> dict[str, Any]:
    """The Workflow of an example."""
    (found,) = of_kind(FOLDER / f"{name}.yaml", "Workflow")
    return found


def run(name: str) -> dict[str, Any]:
    """The WorkflowExecution that runs an example."""
    (found,) = of_kind(FOLDER / "run" / f"{name}.yaml", "WorkflowExecution")
    return found
