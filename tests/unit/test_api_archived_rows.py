"""How lists show archived executions: as they show them while the cluster has them."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.archive import rows
from nightcrawler_api.archive.contract import ListedRow
from nightcrawler_api.executions import archived, presenter
from nightcrawler_api.executions.archived import Beside
from nightcrawler_api.executions.presenter import Named
from tests.support.archives import NOW
from tests.support.views import execution

BESIDE: Final = Beside("run", archived=False, workflow=Named("Training", deleted=False))


@given(
    st.sampled_from(["Completed", "Failed", "Cancelled"]),
    st.none() | st.text(st.characters(exclude_characters="\x00"), max_size=20),
    st.none() | st.sampled_from(["2025-07-10T14:44:59.999999Z", "2025-07-10T15:00:01Z"]),
    st.fixed_dictionaries(
        {},
        optional={
            "cost": st.sampled_from([{"amount": 0.0}, {"amount": 1.25, "currency": "EUR"}]),
            "resourceUsage": st.sampled_from([{"cpu": 48, "memory": 0}, {"gpu": 7}]),
            "environment": st.sampled_from(["", "here"]),
            "progress": st.sampled_from(["", "1/2"]),
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "executor": st.sampled_from(["Jane", "system:schedule"]),
            "environment": st.just("there"),
            "trigger": st.sampled_from(
                [
                    {"type": "Schedule", "scheduledTime": "2025-07-10T14:44:00Z"},
                    {"type": "Rerun", "rerunOf": "exec-1"},
                ]
            ),
        },
    ),
)
def test_an_archived_run_is_shown_as_the_cluster_shows_it(
    phase: str, message: str | None, began: str | None, status: dict[str, Any], spec: dict[str, Any]
) -> None:
    times: dict[str, Any] = {"startTime": began, "completionTime": "2025-07-10T15:00:00Z"}
    view = execution("run", phase=phase, message=message, spec=spec, **times, **status)
    row = rows.execution_row(view, NOW)
    listed = ListedRow(id=1, superseded=False, **{name: row[name] for name in rows.LISTED if name in row})

    assert archived.row(listed, BESIDE, "me") == presenter.row(view, "me", NOW)
    assert archived.row_of_workflow(listed, BESIDE, "me") == presenter.row_of_workflow(
        view, BESIDE.workflow, "me", NOW
    )
