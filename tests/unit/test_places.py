"""Who holds places, who waits in which line, and what a new leader makes of what it finds."""

from __future__ import annotations

from typing import Any

from nightcrawler_crds.allocation import Queue, Subject, rank, subjects_of
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, conditions
from nightcrawler_operator.claims import Claim, Place, Withdrawn
from nightcrawler_operator.cluster.places import Places
from tests.support.views import CREATED, at, execution

INSTALLATION = Subject("Installation")
EAST = Subject("Environment", "east")


def a_run(name: str, granted: str | None = None, *, accepted: bool = True, **fields: Any) -> ExecutionView:
    """An execution; `granted` is the status of its condition, if it has that."""
    given = [{"type": conditions.ACCEPTED, "status": "True"}] if accepted else []
    given += [{"type": conditions.GRANTED, "status": granted}] if granted else []
    return execution(name, of="train", **{"environment": "east", "conditions": given} | fields)


def a_claim(name: str, environment: str = "east", created: str = CREATED) -> Claim:
    place = Place(environment, EnvironmentSpec(), conditions.CHOSEN, "")
    position = rank(None, at(created.removeprefix("2025-07-10T").removesuffix("Z")), "default", name)
    return Claim(
        f"uid-of-{name}", position, subjects_of("default", "train", environment), place, at("15:00:00")
    )


class Known:
    """Places under some limits, and how often the allocator was woken."""

    def __init__(self, **limits: int) -> None:
        self.limits = limits
        self.woken = 0
        self.places = Places(lambda subject: self.limits.get(subject.kind), self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def sees(self, *runs: ExecutionView) -> Known:
        for run in runs:
            self.places.execution_changed(None, run)
        return self

    def claims(self, *names: str) -> Known:
        for name in names:
            claim = a_claim(name)
            self.places.claim(claim.uid, claim)
        return self

    def gives(self) -> list[str]:
        granted = self.places.allocate().granted
        for claim in granted:
            self.places.grant(claim)
        self.places.consider()
        return [claim.rank.name for claim in granted]


def test_every_accepted_run_holds_places_unless_it_waits_for_them() -> None:
    known = Known().sees(
        a_run("begun"),
        a_run("granted", "True"),
        a_run("queued", "False"),
        a_run("new", accepted=False),
        a_run("over", phase="Completed"),
    )

    assert known.places.taken == dict.fromkeys(subjects_of("default", "train", "east"), 2)


def test_a_run_that_ends_or_is_deleted_frees_its_places_and_wakes_the_allocator() -> None:
    known = Known(Installation=2).sees(a_run("a"), a_run("b")).claims("c", "d")
    assert known.gives() == []
    known.woken = 0

    known.places.execution_changed(a_run("a"), a_run("a", phase="Failed"))
    assert (known.woken, known.gives()) == (1, ["c"])
    known.places.execution_changed(a_run("b"), None)
    assert (known.woken, known.gives()) == (2, ["d"])


def test_places_are_kept_for_a_run_until_it_is_observed_to_have_them() -> None:
    known = Known(Installation=1).claims("a", "b")
    known.places.open()
    assert known.gives() == ["a"]
    standing = known.places.standing("uid-of-a")
    assert standing is not None
    assert standing.granted

    known.sees(a_run("a", "True"))

    assert known.places.standing("uid-of-a") is None
    assert known.places.taken[INSTALLATION] == 1
    assert known.gives() == []


def test_what_a_run_waits_for_is_known_once_the_allocator_has_looked_at_it() -> None:
    known = Known(Installation=1).sees(a_run("begun")).claims("a", "b")
    standing = known.places.standing("uid-of-b")
    assert standing is not None
    assert (standing.considered, standing.queue) == (False, None)

    known.gives()

    standing = known.places.standing("uid-of-b")
    assert standing is not None
    assert standing.queue == Queue(INSTALLATION, limit=1, running=1, ahead=1)


def test_a_run_that_withdraws_is_no_longer_in_line_and_its_places_are_free() -> None:
    known = Known(Installation=1).claims("a", "b")
    assert known.gives() == ["a"]

    known.places.claim("uid-of-a", Withdrawn())

    assert (known.places.standing("uid-of-a"), known.gives()) == (None, ["b"])


def test_a_run_that_is_placed_anew_changes_the_line_and_loses_places_of_the_old_one() -> None:
    known = Known(Environment=1).claims("a")
    assert known.gives() == ["a"]

    elsewhere = a_claim("a", "west")
    known.places.claim(elsewhere.uid, elsewhere)

    assert known.places.taken[EAST] == 0
    assert known.gives() == ["a"]
    assert known.places.taken[Subject("Environment", "west")] == 1


def test_a_claim_that_is_renewed_keeps_its_position_and_counts_as_a_new_one() -> None:
    known = Known(Installation=0).claims("a", "b")
    first, again = a_claim("a"), a_claim("a")
    known.places.claim(first.uid, first)
    assert known.places.asked_to_renew(first, at("15:00:00")) == at("15:00:00")
    assert known.places.asked_to_renew(first, at("15:00:09")) == at("15:00:00")

    known.places.claim(again.uid, again)

    assert known.places.asked_to_renew(again, at("15:00:20")) == at("15:00:20")
    [line] = known.places.lines.values()
    assert [claim.rank.name for claim in line] == ["a", "b"]
    assert len(known.places) == 2


def test_what_a_former_leader_gave_too_late_does_not_count() -> None:
    """Its request arrived after the new leader had listed everything and given that place to another one."""
    known = Known(Installation=1).sees(a_run("late", "False"), a_run("other", "False"))
    known.places.open()
    known.claims("other")
    assert known.gives() == ["other"]

    known.places.execution_changed(a_run("late", "False"), a_run("late", "True"))

    standing = known.places.standing("uid-of-late")
    assert standing is not None
    assert (standing.late, standing.granted) == (True, False)
    assert known.places.taken[INSTALLATION] == 1
    known.places.execution_changed(a_run("other", "True"), None)
    known.claims("late")
    assert known.gives() == ["late"]
    standing = known.places.standing("uid-of-late")
    assert standing is not None
    assert (standing.late, standing.granted) == (True, True)
    # Its steps are recorded from now on.
    known.places.execution_changed(a_run("late", "True"), a_run("late", "True", phase="Running"))
    assert known.places.taken[INSTALLATION] == 1


def test_before_a_leader_has_listed_everything_what_it_observes_counts() -> None:
    known = Known(Installation=1).sees(a_run("a", "True"))

    assert known.places.standing("uid-of-a") is None
    assert known.claims("b").gives() == []


def test_a_new_term_begins_without_claims_and_knows_who_has_not_claimed_again() -> None:
    known = Known(Installation=1).sees(a_run("begun")).claims("a", "b")
    known.places.open()

    known.places.begin_term([a_run("begun"), a_run("a", "False"), a_run("b", "False")])

    assert (len(known.places), known.places.is_open, known.places.missing) == (0, False, 2)
    assert known.places.taken[INSTALLATION] == 1
    known.claims("b")
    assert known.places.missing == 1
    known.places.execution_changed(a_run("a", "False"), None)
    assert known.places.missing == 0


def test_a_changed_limit_wakes_the_allocator_if_somebody_waits() -> None:
    known = Known(Installation=1).sees(a_run("begun"))
    known.places.limits_changed()
    assert known.woken == 0
    known.claims("a")
    assert known.gives() == []

    known.limits["Installation"] = 2
    known.places.limits_changed()

    assert (known.woken, known.gives()) == (2, ["a"])


def test_the_places_of_a_run_move_with_it_when_it_is_recorded_elsewhere() -> None:
    known = Known().sees(a_run("a", "True"))

    known.places.execution_changed(a_run("a", "True"), a_run("a", "True", environment="west"))

    assert (known.places.taken[EAST], known.places.taken[INSTALLATION]) == (0, 1)


def test_only_a_run_that_waits_longer_is_behind_another() -> None:
    known = Known(Installation=0)
    old, new = a_claim("old"), a_claim("new", created="2025-07-10T14:45:00Z")
    known.places.claim(new.uid, new)

    assert known.places.is_behind(new.uid, old.rank)
    assert not known.places.is_behind(new.uid, new.rank)
    assert not known.places.is_behind("uid-of-begun", old.rank)
    assert known.places.oldest() == at("14:45:00")
