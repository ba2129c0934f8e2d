"""How much load a run of the bench makes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Counts, and seconds where the name says so.

    The defaults are the goals', but for `throughput`, whose 12,000 runs would last a quarter of an hour:
    `FULL` has them all.
    """

    name: str = "usual"
    # start
    starts: int = 200
    # handover
    chain_steps: int = 10
    chains_few: int = 5
    chains_few_rounds: int = 5
    chains_many: int = 50
    # throughput: runs by how many are in flight
    one_step: tuple[tuple[int, int], ...] = ((50, 400), (200, 700), (1_000, 1_600))
    dag: tuple[tuple[int, int], ...] = ((50, 150), (200, 320))
    # cost
    cost_runs: int = 20
    # list
    list_workflows: int = 1_000
    list_runs: int = 10_000
    list_live: int = 300
    list_clients: int = 50
    list_seconds: int = 30
    list_rush_seconds: int = 10
    # archive: of how many runs only the archive has all but these
    archive_workflows: int = 10_000
    archive_runs: int = 100_000
    archive_cached: int = 5_000
    archive_seconds: int = 90
    # memory: how many runs there are at each look
    memory_ended: tuple[int, ...] = (1_000, 5_000)
    memory_running: tuple[int, ...] = (1_000, 5_000)
    # recovery: how many are in flight, and of how many the Pod ends
    recovery_runs: int = 5_000
    recovery_ended: int = 500
    # schedule: how many workflows are due in the same minute, and a person's runs before that
    schedules: int = 5_000
    schedule_starts: int = 50
    # environments: how many, the cluster's nodes and Pods, of which so many come or go a second
    environments: int = 5
    environments_nodes: int = 1_000
    environments_pods: int = 10_000
    environments_churn: int = 40
    environments_seconds: int = 60
    # features: how many runs use each before memory is looked at; hand-over is as in its own row
    features_runs: int = 5
    # scale: how many of each there are, and how much is measured at each size
    scale_ended: tuple[int, ...] = (100, 1_000, 10_000)
    scale_running: tuple[int, ...] = (100, 1_000, 5_000)
    scale_workflows: tuple[int, ...] = (100, 1_000, 10_000)
    scale_starts: int = 30
    scale_rounds: int = 3


SHORT = Sizes(
    name="short",
    starts=50,
    chains_few_rounds=2,
    chains_many=20,
    one_step=((50, 200),),
    dag=((20, 50),),
    cost_runs=5,
    list_workflows=200,
    list_runs=1_500,
    list_live=50,
    list_seconds=8,
    list_rush_seconds=4,
    archive_workflows=200,
    archive_runs=2_000,
    archive_cached=100,
    archive_seconds=8,
    memory_ended=(200,),
    memory_running=(200,),
    recovery_runs=200,
    recovery_ended=50,
    schedules=200,
    schedule_starts=10,
    environments=2,
    environments_nodes=100,
    environments_pods=500,
    environments_seconds=20,
    features_runs=2,
    scale_ended=(100, 1_000),
    scale_running=(100,),
    scale_workflows=(),
    scale_starts=5,
    scale_rounds=1,
)
"""A first look at all rows, in less than five minutes."""

FULL = Sizes(
    name="full",
    one_step=((50, 3_000), (200, 3_000), (1_000, 3_000)),
    dag=((50, 1_000), (200, 1_000), (1_000, 2_000)),
)
"""Everything as the goals have it; half an hour more each time."""
