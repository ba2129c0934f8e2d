"""The names for people of workflows that the cluster does not have, in pages of archived executions."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_api.archive import writing
from nightcrawler_api.state.ordering import NEWEST_FIRST
from nightcrawler_api.state.runs import ExecutionQuery
from nightcrawler_crds.kube.views import WorkflowView
from tests.support.archives import PLACE, Desk, desk
from tests.support.views import execution, workflow

ENDED: Final[dict[str, Any]] = {"phase": "Completed", "completionTime": "2025-07-10T15:00:00Z"}
OTHER: Final = "other"


async def keep(made: Desk, *workflows: WorkflowView) -> None:
    """Archive workflows, and one execution of each, which has its name."""
    for one in workflows:
        name, namespace, uid = one.metadata.name, one.metadata.namespace, one.metadata.uid
        place = writing.Place(PLACE.cluster, namespace)
        await made.archive(execution(name, of=name, namespace=namespace, owner=uid, **ENDED))
        await made.database.write(lambda c, p=place, w=one: writing.put_workflows(c, p, [w]))  # type: ignore[misc]


async def shown(made: Desk, owner: str | None = None) -> dict[str, str | None]:
    """The names that a page adds to its executions."""
    query = ExecutionQuery(ordering=NEWEST_FIRST)
    page = await made.reader.page(query, owner, skip=0, most=10)
    return {run.row.name: run.workflow_name for run in page.rows}


async def test_a_page_has_the_names_of_workflows_that_are_gone(archive_url: str) -> None:
    async with desk(archive_url) as made:
        here, gone, again = (workflow(name, displayName=f"Old {name}") for name in ("here", "gone", "again"))
        await keep(made, here, gone, again)
        await made.archive(execution("nobodys", of="gone", **ENDED))
        made.cluster.cache_workflow(here)
        made.cluster.cache_workflow(workflow("again", uid="uid-of-another", displayName="New"))
        expected = {"here": None, "gone": "Old gone", "again": "Old again", "nobodys": None}
        assert await shown(made) == expected


async def test_names_are_those_of_the_namespace(archive_url: str) -> None:
    async with desk(archive_url, others=[OTHER]) as made:
        # One UID in both: another cluster's backup may have been restored.
        await keep(
            made,
            workflow("mine", uid="uid", displayName="Mine"),
            workflow("theirs", uid="uid", namespace=OTHER, displayName="Theirs"),
        )
        assert await shown(made) == {"mine": "Mine", "theirs": "Theirs"}


@pytest.mark.parametrize(
    "later", [None, {"deleted": "2025-07-10T16:00:00Z"}, {"uid": "uid-of-another"}], ids=str
)
async def test_a_kept_page_has_the_name_of_a_workflow_that_is_deleted_since(
    archive_url: str, later: dict[str, Any] | None
) -> None:
    async with desk(archive_url) as made:
        here = workflow("here", displayName="Here")
        await keep(made, here)
        made.cluster.cache_workflow(here)
        assert await shown(made) == {"here": None}
        if later is None:
            made.cluster.mark_workflow_deleted(here)
        else:
            made.cluster.cache_workflow(workflow("here", version=2, displayName="New", **later))
        assert await shown(made) == {"here": "Here"}


async def test_a_workflow_that_is_deleted_while_names_are_read_is_named_too(
    archive_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(archive_url) as made:
        here, gone = (workflow(name, displayName=f"Old {name}") for name in ("here", "gone"))
        await keep(made, here, gone)
        made.cluster.cache_workflow(here)
        await made.reader.refresh()
        read, reads = made.database.read, list[object]()

        async def delete_meanwhile(work: Any, **options: Any) -> Any:
            done = await read(work, **options)
            reads.append(work)
            if len(reads) == 2:  # the page, and the names
                made.cluster.mark_workflow_deleted(here)
            return done

        monkeypatch.setattr(made.database, "read", delete_meanwhile)
        assert await shown(made) == {"here": "Old here", "gone": "Old gone"}
        assert len(reads) == 3


async def test_names_are_not_read_where_the_workflow_is_known(
    archive_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(archive_url) as made:
        gone = workflow("gone")
        await keep(made, gone)
        await made.reader.refresh()
        read, reads = made.database.read, list[object]()

        async def counted(work: Any, **options: Any) -> Any:
            reads.append(work)
            return await read(work, **options)

        monkeypatch.setattr(made.database, "read", counted)
        assert await shown(made, gone.metadata.uid) == {"gone": None}
        assert len(reads) == 1
        assert await shown(made) == {"gone": "gone"}
        assert len(reads) == 3
