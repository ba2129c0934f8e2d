"""Several runs under limits, in memory, with leaders that come, go and die at the test's command.

The invariant: at the first Job of each run, no subject has more runs under way than its limit. A run is under
way from its first Job until its end is recorded, or it is deleted. A limit that is lowered holds for the runs
that get their places afterwards.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from nightcrawler_crds import names
from nightcrawler_crds.allocation import Subjects, subjects_of
from nightcrawler_crds.names import Resource
from nightcrawler_crds.phases import has_ended
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.limits import Limits
from tests.support.invariants import InvariantError
from tests.support.modelserver import Json, ModelCluster, ModelServer, Where
from tests.support.modelstore import Death
from tests.support.replica import WATCHED, Replica, the_servers_time
from tests.support.simulation import Action

NAMESPACES: Final = ("default", "other")
PLACES: Final = ("east", "west")
_MAX_ROUNDS: Final = 5_000

_deaths = st.builds(Death, st.integers(0, 6), st.booleans(), late=st.booleans())
_which = st.integers(0, 7)
limit_actions = st.one_of(
    st.builds(Action, st.just("work"), many=st.integers(1, 4)),
    st.builds(Action, st.just("work"), death=_deaths, many=st.integers(1, 9)),
    st.builds(Action, st.just("catch up")),
    st.builds(Action, st.just("catch up"), death=_deaths),
    st.builds(Action, st.just("observe"), which=st.integers(0, 3), replica=st.integers(0, 1), many=_which),
    st.builds(Action, st.just("life"), which=_which),
    st.builds(Action, st.sampled_from(["lead", "lead", "arrive", "arrive"]), which=_which),
    st.builds(Action, st.sampled_from(["create", "create", "cancel", "delete"]), which=_which),
    st.builds(Action, st.just("time"), many=st.integers(1, 40)),
)
limits = st.dictionaries(
    st.sampled_from(["Workflow", "Environment", "Namespace", "Installation"]), st.integers(1, 3), min_size=1
)


class Limited:
    """Runs of two workflows in two namespaces and two Environments, under the same limit of each kind."""

    def __init__(self, most: dict[str, int]) -> None:
        self.most = dict(most)
        self.server = ModelServer()
        self.cluster = ModelCluster(self.server)
        self.limits = Limits(
            max_running=most.get("Installation"), max_running_per_namespace=most.get("Namespace")
        )
        for place in PLACES:
            self._create(names.ENVIRONMENTS, "", place, {} | self._at_most("Environment"))
        for namespace in NAMESPACES:
            for workflow, priority in (("plain", "low"), ("urgent", "high")):
                steps = [{"name": "s0", "image": "b:1"}, {"name": "s1", "image": "b:1"}]
                spec = {"steps": steps, "order": "Sequence", "priority": priority, "environments": ["east"]}
                self._create(names.WORKFLOWS, namespace, workflow, spec | self._at_most("Workflow"))
        self.created = 0
        self.begun: set[str] = set()
        self.most_begun: Counter[str] = Counter()
        self._granted_under: dict[str, dict[str, int]] = {}
        self.server.watchers.append(self._watch)
        self.leader = 0
        self.replicas = [self._replica(number) for number in (0, 1)]

    def _at_most(self, kind: str) -> Json:
        return {"maxRunning": self.most[kind]} if kind in self.most else {}

    def _replica(self, number: int) -> Replica:
        return Replica(self.server, self.limits, leads=lambda: self.leader == number)

    def _create(self, resource: Resource, namespace: str, name: str, spec: Json) -> None:
        body = {"kind": resource.kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
        self.server.create(resource, body)

    # --- actions --------------------------------------------------------------------------------

    async def apply(self, action: Action) -> None:
        """Carry out one action."""
        one = self.replicas[self.leader]
        match action.what:
            case "work" | "catch up":
                one.store.live_until(action.death)
                if action.what == "catch up":
                    one.deliver_all()
                await self._work(one, _MAX_ROUNDS if action.what == "catch up" else action.many)
            case "observe":
                self.replicas[action.replica].deliver(WATCHED[action.which], action.many)
            case "life":
                self.advance_cluster(action.which)
            case "lead":
                self.elect(action.which % 2)
            case "arrive":
                self.server.arrive(action.which)
            case "create":
                self.create(action.which)
            case "cancel" | "delete":
                self._to_a_run(action)
            case "time":
                self.server.now += timedelta(seconds=action.many)
            case other:
                raise AssertionError(other)

    async def _work(self, one: Replica, most: int) -> None:
        for _ in range(most):
            if not await one.work():
                return
        if most == _MAX_ROUNDS:
            raise AssertionError("the operator reconciles without end")

    def create(self, which: int) -> None:
        """Create a run; its number says of which workflow, where."""
        self.created += 1
        namespace, workflow = NAMESPACES[which % 2], ("plain", "urgent")[which // 2 % 2]
        spec: Json = {"workflowRef": {"name": workflow}, "cancel": False}
        if which >= 4:
            spec["environment"] = "west"
        self._create(names.EXECUTIONS, namespace, f"run-{self.created}", spec)

    def set_limit(self, kind: str, most: int | None) -> None:
        """Change the limit of all workflows, or of all Environments; one that is lowered ends nothing."""
        if most is None:
            self.most.pop(kind)
        else:
            self.most[kind] = most
        resource = names.WORKFLOWS if kind == "Workflow" else names.ENVIRONMENTS
        for where in list(self.server.of(resource)):
            self.server.patch(resource, where, {"spec": {"maxRunning": most}})
        for one in self.replicas:
            one.observe_workflows()
            one.observe_environments()
            one.cluster.places.limits_changed()

    def elect(self, number: int) -> None:
        """Another replica, or the same one again, becomes the leader."""
        before, self.leader = self.replicas[self.leader], number
        before.stop_leading()
        self.replicas[number].begin_to_lead()

    def advance_cluster(self, fails: int | None = None, only: str = "") -> None:
        """Everything in the cluster goes one step further; of the Pods that end, that one fails.

        With `only`, just the Pods of that run.
        """
        pods = [where for where in self.cluster.pods() if where[1].startswith(only)]
        for number, where in enumerate(pods):
            self.cluster.run_pod(where, exit_code=int(number == fails))

    def _to_a_run(self, action: Action) -> None:
        live = [where for where, run in self.runs.items() if not has_ended(_phase(run))]
        if not live:
            return
        where = live[action.which % len(live)]
        if action.what == "cancel":
            self.server.patch(names.EXECUTIONS, where, {"spec": {"cancel": True}})
        else:
            self.server.delete(names.EXECUTIONS, where)
            self.cluster.collect_garbage()

    async def run_without_faults(self) -> None:
        """Work without deaths until all runs have ended; time passes when there is nothing else to do."""
        for one in self.replicas:
            one.store.live_until(None)
        for _ in range(_MAX_ROUNDS):
            if all(has_ended(_phase(run)) for run in self.runs.values()):
                return
            before = self.server.version
            self.cluster.collect_garbage()
            self.advance_cluster()
            worked = False
            for one in self.replicas:
                one.deliver_all()
                worked |= await one.work()
            if not worked and self.server.version == before:
                due = list(self.replicas[self.leader].timers.values())
                assert due, f"no replica has a timer: {[run.get('status') for run in self.runs.values()]}"
                self.server.now = max(self.server.now, min(due))
        raise AssertionError("the runs do not end")

    # --- what must hold ------------------------------------------------------------------------------

    @property
    def runs(self) -> dict[Where, Json]:
        """The executions there are."""
        return self.server.of(names.EXECUTIONS)

    def _watch(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        if resource == names.EXECUTIONS and new is not None and _granted(new) and not _granted(old or {}):
            self._granted_under[new["metadata"]["uid"]] = dict(self.most)
        if resource != names.JOBS or old is not None or new is None:
            return
        owner = new["metadata"]["ownerReferences"][0]["uid"]
        place = new["metadata"]["annotations"][names.ANNOTATION_ENVIRONMENT]
        found = [run for run in self.runs.values() if run["metadata"]["uid"] == owner]
        if not found or owner in self.begun:
            return  # what is created for a run that was just deleted is garbage
        (run,) = found
        self.begun.add(owner)
        self._require_status(run, place)
        under_way = Counter(
            subject
            for other in self.runs.values()
            if other["metadata"]["uid"] in self.begun and not has_ended(_phase(other))
            for subject in self._subjects(other)
        )
        for subject in self._subjects(run):
            count = under_way[subject]
            self.most_begun[subject.kind] = max(self.most_begun[subject.kind], count)
            if count > self._granted_under.get(owner, {}).get(subject.kind, count):
                raise InvariantError(f"{subject} has {count} runs under way: {under_way}")

    def _require_status(self, run: Json, place: str) -> None:
        """Under a limit, that a run has its places is recorded before its first Job."""
        if not self.most:
            return
        status = run.get("status", {})
        if not _granted(run) or status["environment"] != place:
            raise InvariantError(f"a Job is created for a run without places: {status}")

    def _subjects(self, run: Json) -> Subjects:
        meta, place = run["metadata"], run.get("status", {}).get("environment")
        return subjects_of(meta["namespace"], run["spec"]["workflowRef"]["name"], place)


def _granted(run: Json) -> bool:
    found = run.get("status", {}).get("conditions", ())
    return any((c["type"], c["status"]) == (conditions.GRANTED, "True") for c in found)


def _phase(run: Json) -> Any:
    return run.get("status", {}).get("phase")


def carry_out_under_limits(most: dict[str, int], runs: list[int], actions: list[Action]) -> Limited:
    """Create such runs, carry out the actions, and let all runs end."""
    made = Limited(most)

    async def story() -> None:
        made.elect(0)
        for which in runs:
            made.create(which)
        for one in made.replicas:
            one.deliver_all()
        for action in actions:
            await made.apply(action)
        while made.server.in_flight:
            made.server.arrive(0)
        await made.run_without_faults()

    with the_servers_time(made.server) as runner:
        runner.run(story())
    return made
