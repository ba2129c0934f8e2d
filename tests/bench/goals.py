"""What is to be reached, row by row, in the words of the report.

Argo's figures are those of its workflow-controller, tuned far beyond its defaults (client 512 requests a
second, burst 2,048, 128 workers, requeue after 1 s), on the same kind of machine and control plane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a row: `key` in `bench.json`, and what there is to compare it with.

    Attributes:
        more: Whether more is better.
    """

    key: str
    name: str
    unit: str
    goal: float | None = None
    moonshot: float | None = None
    argo: float | None = None
    more: bool = False

    def reaches(self, value: float, wanted: float | None) -> bool:
        """Whether a value is as good as what is wanted, if anything is."""
        return wanted is not None and (value >= wanted if self.more else value <= wanted)


@dataclass(frozen=True, slots=True)
class RowGoals:
    """One row: its heading, what is done and measured (a paragraph), its figures."""

    title: str
    what: str
    figures: tuple[Figure, ...]


def _mb(key: str, name: str, goal: float | None = None) -> Figure:
    return Figure(key=key, name=name, unit="MB", goal=goal)


def _ms(key: str, name: str, goal: float | None, moonshot: float | None, argo: float | None = None) -> Figure:
    return Figure(key=key, name=name, unit="ms", goal=goal, moonshot=moonshot, argo=argo)


GOALS: Final[Mapping[str, RowGoals]] = {
    "start": RowGoals(
        "Start",
        "Runs of one step, one after another and then all at once: from the accepted request to the "
        "first Pod.",
        (
            _ms("p50_ms", "one after another, p50", 60, 40, 55),
            _ms("p99_ms", "one after another, p99", None, None),
            _ms("burst_p50_ms", "burst, p50", None, None, 4_700),
            _ms("burst_p99_ms", "burst, p99", 5_000, 2_500, 8_300),
        ),
    ),
    "handover": RowGoals(
        "Hand-over",
        "Chains of ten steps of 0.1 s: from a Pod that has succeeded to the next step's Pod.",
        (
            _ms("p50_ms", "5 chains, p50", 60, 25, 815),
            _ms("p99_ms", "5 chains, p99", 200, 60, 897),
            _ms("at50_p50_ms", "50 chains, p50", 600, 200, 1_261),
            _ms("at50_p99_ms", "50 chains, p99", 1_600, 400, 2_500),
        ),
    ),
    "throughput": RowGoals(
        "Throughput",
        "Runs of 1 s steps, of which a constant number is in flight; completed runs a minute, at the best of "
        "the levels. The rate is that of all runs of a level, from the first submission to the last "
        "completion.",
        (
            Figure(
                key="one_step_per_min",
                name="one step",
                unit="/min",
                more=True,
                goal=1_400,
                moonshot=2_500,
                argo=765,
            ),
            Figure(
                key="five_step_per_min",
                name="five steps, a DAG",
                unit="/min",
                more=True,
                goal=300,
                moonshot=550,
            ),
        ),
    ),
    "cost": RowGoals(
        "Cost of a step",
        "Chains of ten steps, until their Jobs and Pods are cleaned up; requests from the API server's audit "
        "log. Own writes are those of the operator: Jobs, executions, deletions of collections, and all "
        "else but its Lease. They do not count what it does in the Job controller's place (the Pods of its "
        "Jobs, and their status), nor Events about executions; both stand beside them. The cluster's are all "
        "writes of all components, Events among them, but Leases. Argo makes Pods without Jobs.",
        (
            Figure(key="own_requests_per_step", name="own writes", unit="", goal=2.3, moonshot=1.2),
            Figure(key="own_writes_per_step", name="… with those for the Job controller", unit=""),
            Figure(key="own_events_per_step", name="… and its Events", unit=""),
            Figure(key="cluster_requests_per_step", name="writes of all", unit="", goal=16, moonshot=11),
            _ms("operator_cpu_ms_per_step", "the operator's CPU time", None, None, 26.8),
        ),
    ),
    "memory": RowGoals(
        "Memory",
        "Operator and facade together, as proportional set size: with nothing to do, what 1,000 running runs "
        "of five steps add, and what 1,000 ended ones add.",
        (
            Figure(key="base_mb", name="with nothing to do", unit="MB", goal=120, moonshot=90),
            Figure(key="mb_per_1000_running", name="1,000 running runs", unit="MB", goal=15, moonshot=4),
            Figure(key="mb_per_1000_ended", name="1,000 ended runs", unit="MB"),
        ),
    ),
    "list": RowGoals(
        "Lists of the dashboard",
        "1,000 workflows with 10,000 executions, ten of which change a second: pages of 50, filters, search, "
        "deep pages and lists of executions, asked for by 50 clients once a second, then as fast as they "
        "can; four in ten questions are the last one again, with If-None-Match.",
        (
            _ms("p99_ms", "pages, p99", 25, 5),
            _ms("search_p99_ms", "search, p99", 60, 15),
            _ms("not_modified_p99_ms", "not modified (304), p99", None, 2),
            Figure(key="rps", name="at saturation", unit="/s", moonshot=10_000, more=True),
        ),
    ),
    "identity": RowGoals(
        "Identity",
        "The same lists as above, asked for once a second, by turns with a facade that identifies nobody and "
        "with one that takes tokens of an OpenID Connect provider: there each of the 50 clients is another "
        "person of the team, who does not see one workflow in eleven. Memory is the facade's, at rest "
        "afterwards.",
        (
            _ms("off_p99_ms", "identity off: pages, p99", None, None),
            _ms("on_p99_ms", "identity on: pages, p99", None, None),
            Figure(key="p99_times", name="p99: on, times off", unit="", goal=1.15),
            _mb("off_mb", "memory, identity off"),
            _mb("on_mb", "memory, identity on"),
            _mb("more_mb", "more with identity", 10),
        ),
    ),
    "archive": RowGoals(
        "Archive",
        "10,000 workflows with 100,000 executions, of which the cluster has 5,000 and only the archive the "
        "rest, in "
        "SQLite and in PostgreSQL: pages of 50, filtered, the next one by its cursor, from deep down, "
        "search, "
        "asked for by 50 clients once a second; four in ten questions are the last one again. Memory is "
        "that of "
        "operator and facade with nothing in the cluster, and the archive on.",
        (
            _ms("sqlite_page_p99_ms", "SQLite: pages and filters, p99", 25, None),
            _ms("sqlite_deep_p99_ms", "SQLite: deep pages, p99", 25, None),
            _ms("sqlite_cursor_p99_ms", "SQLite: by cursor, p99", 10, None),
            _ms("sqlite_search_p99_ms", "SQLite: search, p99", 60, None),
            _ms("postgresql_page_p99_ms", "PostgreSQL: pages and filters, p99", 25, None),
            _ms("postgresql_deep_p99_ms", "PostgreSQL: deep pages, p99", 25, None),
            _ms("postgresql_cursor_p99_ms", "PostgreSQL: by cursor, p99", 10, None),
            _ms("postgresql_search_p99_ms", "PostgreSQL: search, p99", 60, None),
            Figure(key="base_mb", name="memory with nothing to do", unit="MB", goal=150),
        ),
    ),
    "recovery": RowGoals(
        "Recovery",
        "The operator is killed with 5,000 runs in flight, and 500 Pods end while it is down. From its start "
        "until it is ready, and until the first and the last successor of those Pods are there. Then a "
        "second one stands by, and the leader is killed again: from its death until the other one leads, and "
        "until the first successor of another 500 Pods is there.",
        (
            Figure(key="ready_s", name="ready", unit="s", goal=3, moonshot=2),
            Figure(key="first_s", name="first successor", unit="s", goal=3, moonshot=2),
            Figure(key="all_s", name="last successor", unit="s", goal=15, moonshot=5),
            Figure(key="standby_s", name="standby ready", unit="s", goal=5, moonshot=1),
            Figure(key="standby_first_s", name="standby's first successor", unit="s", goal=5, moonshot=1),
        ),
    ),
    "schedule": RowGoals(
        "Schedules",
        "5,000 workflows with a schedule are due in the same minute. Before that, with nothing to do: the "
        "operator's memory, and its CPU time a second, for 1,000 of them. Then from the scheduled time until "
        "the last run was created; and meanwhile a person's runs, of which one is started every quarter of a "
        "second, as before that.",
        (
            Figure(key="created_s", name="last run created", unit="s", goal=60),
            _ms("manual_p50_ms", "a person's run meanwhile, p50", None, None),
            _ms("idle_p50_ms", "a person's run before, p50", None, None),
            Figure(key="times_idle", name="meanwhile, times before", unit="", goal=2),
            Figure(key="mb_per_1000", name="memory of 1,000 at rest", unit="MB"),
            Figure(key="cpu_ms_per_1000", name="CPU time a second of 1,000 at rest", unit="ms"),
        ),
    ),
    "environments": RowGoals(
        "Environments",
        "A cluster of 1,000 nodes with 10,000 Pods of others, and five Environments of 200 nodes each. The "
        "operator's memory for the nodes, and what the Environments add, for which it follows all Pods. Its "
        "CPU time a second, first while nothing changes, then while 40 Pods come or go a second; and how "
        "often the status of an Environment is written then.",
        (
            Figure(key="nodes_mb", name="memory of 1,000 nodes", unit="MB"),
            Figure(key="pods_mb", name="… of Environments, with 10,000 Pods", unit="MB", goal=15),
            Figure(key="rest_ms", name="CPU time a second, at rest", unit="ms"),
            Figure(key="churn_ms", name="CPU time a second, Pods coming and going", unit="ms", goal=30),
            Figure(key="writes_per_min", name="writes of a status a minute", unit="", goal=7),
        ),
    ),
    "features": RowGoals(
        "Features",
        "Hand-over with everything that a run can keep and tell: messages by webhook and e-mail, traces to "
        "an OTLP collector, an archive in SQLite, kept logs in a folder, measured usage, and masked Secrets; "
        "beside it the same with none of it, in the same cluster, in turns. Every message, trace, log and "
        "row must have arrived. Then memory of operator and facade, just started, with nothing to do: "
        "with none of it, and how much more with each by itself and with all.",
        (
            _ms("off_p50_ms", "5 chains, off, p50", 60, 25),
            _ms("on_p50_ms", "5 chains, on, p50", 60, 25),
            _ms("off_p99_ms", "5 chains, off, p99", 200, 60),
            _ms("on_p99_ms", "5 chains, on, p99", 200, 60),
            _ms("off_at50_p50_ms", "50 chains, off, p50", 600, 200),
            _ms("on_at50_p50_ms", "50 chains, on, p50", 600, 200),
            _ms("off_at50_p99_ms", "50 chains, off, p99", 1_600, 400),
            _ms("on_at50_p99_ms", "50 chains, on, p99", 1_600, 400),
            Figure(key="p50_times", name="5 chains, p50: on, times off", unit=""),
            Figure(key="at50_p50_times", name="50 chains, p50: on, times off", unit=""),
            _mb("off_mb", "memory, all off", 120),
            _mb("archive_on_mb", "memory, archive on", 150),
            _mb("notifications_mb", "more with messages"),
            _mb("traces_mb", "more with traces"),
            _mb("archive_mb", "more with the archive"),
            _mb("logs_mb", "more with kept logs"),
            _mb("usage_mb", "more with usage"),
            _mb("masked_mb", "more with masked Secrets"),
            _mb("all_mb", "more with all of it"),
        ),
    ),
    "scale": RowGoals(
        "Growth",
        "The same figures with 100, 1,000 and 10,000 executions: no worse than linear in what runs, constant "
        "in what has ended.",
        (),
    ),
}
