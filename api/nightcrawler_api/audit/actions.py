"""Names of the REST API's operations in audit records, and which requests are recorded; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams

from nightcrawler_api.audit.record import Subject
from nightcrawler_api.auth.operations import Operation
from nightcrawler_api.ids import Ids
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS

_READS: Final = ("GET", "HEAD", "OPTIONS")
_NO_WRITES: Final = frozenset({Operation.PREVIEW_SCHEDULE})
"""Operations that change nothing although they take a body."""
_DRY_RUN: Final = frozenset({Operation.CREATE_WORKFLOW, Operation.EXECUTE, Operation.CANCEL_MANY})
"""Operations that may be a dry run, which changes nothing."""
_TRUE: Final = frozenset({"true", "1", "on", "t", "y", "yes"})
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: its operation, None if there is none, and the ids in its path."""

    operation: Operation | None
    ids: Mapping[str, str]

    @property
    def action(self) -> str:
        """The name of the operation; empty if there is none."""
        return self.operation.title if self.operation else ""

    def subject(self, ids: Ids, knows: Callable[[str], bool]) -> Subject:
        """The object by the ids in the path; as if in the home namespace, if there is no such namespace."""

        def key(id_: str) -> tuple[str, str]:
            namespace, name = ids.key(id_)
            return (namespace, name) if knows(namespace) else (ids.home, id_)

        workflow, execution = self.ids.get("workflowId", ""), self.ids.get("executionId", "")
        namespace, name = key(workflow)
        if not execution:
            return Subject(WORKFLOWS.kind if workflow else "", namespace, name, name)
        place, run = key(execution)
        return Subject(EXECUTIONS.kind, namespace if workflow else place, run, name)


class Operations:
    """The operations of an application, also for requests that are refused before they reach their route."""

    def __init__(self, declared: Iterable[tuple[APIRoute, Operation]]) -> None:
        self._patterns = [
            (route.methods or set(), *_pattern(route.path), operation) for route, operation in declared
        ]

    def find(self, method: str, path: str) -> Asked:
        """What a request asks for."""
        for methods, pattern, parameters, operation in self._patterns:
            if method in methods and (found := pattern.fullmatch(path)):
                ids = dict(zip(parameters, map(unquote, found.groups()), strict=True))
                return Asked(operation, ids)
        return Asked(None, {})


def _pattern(path: str) -> tuple[re.Pattern[str], list[str]]:
    """The paths of a route, and the names of its parameters."""
    return re.compile("([^/]+)".join(map(re.escape, _PARAMETER.split(path)[::2]))), _PARAMETER.findall(path)


def is_write(method: str, asked: Asked, query: bytes) -> bool:
    """Whether a request wants to change something."""
    if method in _READS or asked.operation in _NO_WRITES:
        return False
    dry = asked.operation in _DRY_RUN and QueryParams(query).get("dryRun", "").lower() in _TRUE
    return not dry
