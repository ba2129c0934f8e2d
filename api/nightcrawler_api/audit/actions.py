"""Names of the REST API's operations in audit records, and which requests are recorded; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.routing import BaseRoute

from nightcrawler_api.audit.record import Subject
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

ACTIONS: Final[Mapping[str, str]] = {
    "list_workflows": "workflows.list",
    "create_workflow": "workflows.create",
    "import_workflow": "workflows.import",
    "show_workflow": "workflows.get",
    "export_workflow": "workflows.export",
    "clone_workflow": "workflows.clone",
    "update_workflow": "workflows.update",
    "delete_workflow": "workflows.delete",
    "pause_workflow": "workflows.pause",
    "resume_workflow": "workflows.resume",
    "list_revisions": "revisions.list",
    "show_revision": "revisions.get",
    "compare_revisions": "revisions.compare",
    "execute_workflow": "executions.create",
    "rerun_execution": "executions.rerun",
    "cancel_execution": "executions.cancel",
    "cancel_executions": "executions.cancelMany",
    "list_executions": "executions.list",
    "list_all_executions": "executions.listAll",
    "show_execution": "executions.get",
    "show_any_execution": "executions.getAny",
    "show_timeline": "executions.timeline",
    "show_trace": "executions.trace",
    "show_log": "logs.get",
}
"""By the names of routes; one that is not here is called as it is named."""

_READS: Final = ("GET", "HEAD", "OPTIONS")
_NO_WRITES: Final = frozenset({"preview_schedule"})
"""Operations that change nothing although they take a body."""
_DRY_RUN: Final = frozenset({"create_workflow", "execute_workflow", "cancel_executions"})
"""Operations that may be a dry run, which changes nothing."""
_TRUE: Final = frozenset({"true", "1", "on", "t", "y", "yes"})
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: the name of its route, empty if there is none, and the ids in its path."""

    route: str
    ids: Mapping[str, str]

    @property
    def action(self) -> str:
        """The name of the operation."""
        return ACTIONS.get(self.route, self.route)

    def subject(self, namespace: str) -> Subject:
        """The object by the ids in the path."""
        workflow, execution = self.ids.get("workflowId", ""), self.ids.get("executionId", "")
        if execution:
            return Subject(EXECUTIONS.kind, namespace, execution, workflow)
        return Subject(WORKFLOWS.kind if workflow else "", namespace, workflow, workflow)


class Operations:
    """The operations of an application, also for requests that are refused before they reach their route."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._patterns = [
            (route.methods or set(), *_pattern(route.path), route.name)
            for route in routes
            if isinstance(route, APIRoute) and route.include_in_schema
        ]

    def find(self, method: str, path: str) -> Asked:
        """What a request asks for."""
        for methods, pattern, parameters, name in self._patterns:
            if method in methods and (found := pattern.fullmatch(path)):
                return Asked(name, dict(zip(parameters, map(unquote, found.groups()), strict=True)))
        return Asked("", {})


def _pattern(path: str) -> tuple[re.Pattern[str], list[str]]:
    """The paths of a route, and the names of its parameters."""
    return re.compile("([^/]+)".join(map(re.escape, _PARAMETER.split(path)[::2]))), _PARAMETER.findall(path)


def is_write(method: str, asked: Asked, query: bytes) -> bool:
    """Whether a request wants to change something."""
    if method in _READS or asked.route in _NO_WRITES:
        return False
    dry = asked.route in _DRY_RUN and QueryParams(query).get("dryRun", "").lower() in _TRUE
    return not dry
