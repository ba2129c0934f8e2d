"""Indexes of executions by their workflow."""

from __future__ import annotations

from nightcrawler_crds.kube.cache import Key


def index_run(index: dict[Key, set[str]], workflow: Key, execution: str, *, there: bool) -> None:
    """Note in an index by workflow that an execution is there, or is not there any more."""
    if there:
        index.setdefault(workflow, set()).add(execution)
    elif workflow in index:
        index[workflow].discard(execution)
        if not index[workflow]:
            del index[workflow]
