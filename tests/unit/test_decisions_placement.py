"""Where a run goes: what it asks for, what the workflow lists, what there is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import pytest

from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.planning.candidates import NoPlace
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from nightcrawler_operator.claims import Place
from nightcrawler_operator.decisions.placement import (
    Circumstances,
    Later,
    depends_on_absence,
    recorded_place,
)
from nightcrawler_operator.decisions.placement import place as decide_place
from nightcrawler_operator.limits import Limits
from tests.support.snapshots import a_spec, an_environment, at, wire


def place(
    wanted: str | None, spec: WorkflowSpec, there: Collection[EnvironmentView], now: datetime
) -> Place | Later | NoPlace:
    """Where a run without a strategy goes."""
    given = Circumstances(there, Nodes(), Limits(), now)
    found = decide_place(wanted, Revision("wf-rev", spec), given)
    assert isinstance(found, Place | Later | NoPlace)
    return found


STAGING = an_environment("staging", created=0, aliases=["test", "shared"])
VIRGINIA = an_environment(
    "aws-virginia", created=1, aliases=["awsVirginia", "shared"], nodeSelector={"r": "us"}
)
DEFAULT = an_environment("lab", created=2, default=True)


def placed(wanted: str | None, *there: EnvironmentView, listed: tuple[str, ...] = ()) -> Place:
    found = place(wanted, a_spec("train", environments=list(listed) or None), there, at(0))
    assert isinstance(found, Place)
    return found


def refused(wanted: str | None, *there: EnvironmentView) -> tuple[str, str]:
    found = place(wanted, a_spec("train"), there, at(0))
    assert isinstance(found, NoPlace)
    return found.reason, found.message


def test_what_the_execution_asks_for_comes_before_the_workflows_list() -> None:
    found = placed("staging", STAGING, VIRGINIA, listed=("aws-virginia",))

    assert (found.name, found.reason) == ("staging", conditions.CHOSEN)
    assert found.message == "runs in staging: asked for by the execution"


def test_the_workflows_first_is_used_if_the_execution_names_none() -> None:
    found = placed(None, STAGING, VIRGINIA, listed=("awsVirginia", "staging"))

    assert found.name == "aws-virginia"
    assert found.message == "runs in aws-virginia: the workflow's first, as 'awsVirginia'"
    assert found.spec.node_selector == {"r": "us"}


def test_a_name_comes_before_an_alias() -> None:
    named_like_an_alias = an_environment("test", created=9)

    assert placed("test", STAGING, named_like_an_alias).name == "test"


def test_of_two_with_an_alias_the_oldest_is_used() -> None:
    assert placed("shared", VIRGINIA, STAGING).name == "staging"


def test_the_default_is_used_if_none_is_named() -> None:
    assert placed(None, STAGING, DEFAULT).name == "lab"


def test_of_two_defaults_the_oldest_is_used() -> None:
    assert placed(None, an_environment("other", created=9, default=True), DEFAULT).name == "lab"


ANY = an_environment("lab", created=2, default=True, acceptAnyName=True, aliases=["home"])


def test_a_name_that_no_environment_has_means_the_default_one_that_takes_any() -> None:
    found = placed("mars", STAGING, ANY)

    assert (found.name, found.reason) == ("lab", conditions.CHOSEN)
    assert found.message == (
        "runs in lab: the default Environment, which takes any name: no Environment is called 'mars'"
    )
    assert placed(None, STAGING, ANY, listed=("mars",)).name == "lab"


@pytest.mark.parametrize(("asked", "name"), [("test", "staging"), ("staging", "staging"), ("home", "lab")])
def test_existing_names_and_aliases_come_before_the_default_that_takes_any(asked: str, name: str) -> None:
    found = placed(asked, STAGING, ANY)

    assert found.name == name
    assert "takes any name" not in found.message


@pytest.mark.parametrize(
    "others",
    [
        [an_environment("side", acceptAnyName=True)],
        [DEFAULT, an_environment("newer", created=9, default=True, acceptAnyName=True)],
        [an_environment("lab", default=True, acceptAnyName=False)],
    ],
    ids=["not the default", "not the oldest default", "not set"],
)
def test_only_the_default_one_takes_any_name(others: list[EnvironmentView]) -> None:
    assert refused("mars", STAGING, *others)[0] == conditions.UNKNOWN_ENVIRONMENT


def test_the_default_takes_any_name_only_if_no_environment_of_that_name_was_just_created() -> None:
    assert depends_on_absence(placed("mars", ANY))
    assert not depends_on_absence(placed("home", ANY))
    assert not depends_on_absence(placed(None, ANY))


def test_without_a_default_a_run_that_names_none_has_no_environment() -> None:
    reason, message = refused(None, STAGING)

    assert reason == conditions.NO_ENVIRONMENT
    assert "make one default" in message


def test_an_unknown_name_is_refused_with_the_existing_ones() -> None:
    reason, message = refused("prod", STAGING, DEFAULT)

    assert reason == conditions.UNKNOWN_ENVIRONMENT
    assert message == "there is no environment 'prod'; there are: lab, shared, staging, test"


def test_without_any_environment_any_name_means_this_cluster() -> None:
    found = placed("awsVirginia")

    assert (found.name, found.reason) == ("awsVirginia", conditions.THIS_CLUSTER)
    assert found.spec.model_fields_set == set()


def test_a_placement_depends_on_absence_only_if_a_new_environment_could_change_it() -> None:
    listed = a_spec("train", environments=["prod"])

    assert depends_on_absence(place("prod", a_spec("train"), [DEFAULT], at(0)))
    assert depends_on_absence(place(None, a_spec("train"), [STAGING], at(0)))
    assert depends_on_absence(place("prod", a_spec("train"), [], at(0)))
    assert depends_on_absence(place(None, listed, [], at(0)))
    assert not depends_on_absence(place("lab", listed, [DEFAULT], at(0)))
    assert not depends_on_absence(place(None, a_spec("train"), [DEFAULT], at(0)))
    assert not depends_on_absence(place(None, a_spec("train"), [], at(0)))


def test_a_recorded_place_is_read_as_it_is_now_and_empty_once_it_is_gone() -> None:
    assert recorded_place("aws-virginia", [STAGING, VIRGINIA]).node_selector == {"r": "us"}
    assert recorded_place("aws-virginia", [STAGING]).node_selector is None


def test_fields_of_other_versions_are_ignored() -> None:
    newer = an_environment("lab", default=True, teleport=True)

    assert placed(None, newer).name == "lab"


@pytest.mark.parametrize("there", [(), (STAGING,), (STAGING, DEFAULT)], ids=len)
def test_an_empty_list_is_no_environment_whatever_there_is(there: tuple[EnvironmentView, ...]) -> None:
    nothing_ticked = a_spec("train", environments=[])
    found = place(None, nothing_ticked, there, at(0))
    assert isinstance(found, NoPlace)
    assert found.reason == conditions.NO_ENVIRONMENT
    assert "its list of environments is empty" in found.message
    assert isinstance(place("staging", nothing_ticked, there, at(0)), Place)


# --- cordoned and under maintenance ------------------------------------------------------------------


WINDOW = {"start": wire(100), "end": wire(200), "description": "new disks"}
UPKEEP = an_environment("upkeep", maintenance=[WINDOW])
CLOSED = an_environment("closed", state="Cordoned")


def test_a_cordoned_environment_is_passed_over_for_the_next_on_the_list() -> None:
    found = placed(None, CLOSED, STAGING, listed=("closed", "staging"))
    assert found.name == "staging"
    assert found.message == (
        "runs in staging: the workflow's number 2; passed over, because cordoned: closed"
    )
    assert placed(None, an_environment("a", state="Open"), listed=("a",)).name == "a"


@pytest.mark.parametrize(("moment", "open_"), [(99, True), (100, False), (199, False), (200, True)])
def test_maintenance_is_a_planned_cordon(moment: float, open_: bool) -> None:
    found = place("upkeep", a_spec("train"), [UPKEEP], at(moment))
    assert isinstance(found, Place if open_ else Later)
    if isinstance(found, Later):
        assert found.until == at(200)
        assert found.message == (
            "waits for its environment to be opened "
            f"(upkeep: it is under maintenance until {wire(200)} (new disks))"
        )


def test_if_all_are_cordoned_the_first_that_opens_is_waited_for() -> None:
    both = a_spec("train", environments=["closed", "upkeep"])
    found = place(None, both, [CLOSED, UPKEEP], at(150))
    assert isinstance(found, Later)
    assert found.until == at(200)
    assert "closed: it is cordoned; upkeep:" in found.message
    assert not depends_on_absence(found)
