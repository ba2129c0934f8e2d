"""A namespace whose runs are archived: facade, operator, and what people do there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcluster import LocalCluster
from tests.support.facade import FacadeProcess, Json, Served, serving
from tests.support.operator import operators_in
from tests.support.polling import eventually
from tests.support.team import Team


class Kept:
    """Such a namespace: its facade over REST, and what kubectl does there."""

    def __init__(self, served: Served, url: str) -> None:
        self.served = served
        self.url = url
        self.team = Team(served.cluster, served.namespace)

    def executions(self, **query: Any) -> Json:
        """The list across workflows."""
        answer = self.served.http.get("/api/executions", params=query)
        assert answer.status_code == 200, answer.text
        read: Json = answer.json()
        return read

    def until_only_archived(self, run: str, workflow: str) -> Json:
        """The row of a run, once the cluster does not have it any more."""

        def row() -> Json:
            found = self.served.ask("GET", f"/{workflow}/executions", limit=100)["executions"]
            rows: list[Json] = [one for one in found if one["id"] == run]
            assert len(rows) == 1, f"{run} is listed {len(rows)} times"
            return rows[0]

        return eventually(row, until=lambda one: "archived" in one, what=f"{run} to be archived and pruned")


@contextlib.contextmanager
def keeping(cluster: LocalCluster, folder: Path, url: str, **settings: object) -> Iterator[Kept]:
    """A new namespace with an operator and a facade that archive, until the block ends."""
    with (
        serving(cluster, folder, keep="archive", archive_url=url, **settings) as served,
        operators_in(cluster, served.namespace, folder) as operators,
    ):
        operators.start(keep="archive", job_cleanup_after=0)
        yield Kept(served, url)


@contextlib.contextmanager
def replica(of: FacadeProcess) -> Iterator[FacadeProcess]:
    """Another replica of a facade, until the block ends."""
    twin = of.twin()
    try:
        twin.start()
        yield twin
    finally:
        twin.close()
