"""The words of the report around its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

HEAD: Final = """\
<!-- Made by `python -m tests.bench --report` from what `make bench` measured; not to be edited. -->
# Performance

What a step costs and how soon it starts, measured on a real control plane whose nodes are simulated by
[kwok](https://kwok.sigs.k8s.io): the figures are those of Nightcrawler and Kubernetes, not of the programs
that run. Each is the median of its row's measurements; [below](#how-it-is-measured) is how they are made.

The other columns: the target (*goal*), a far more ambitious target (*moonshot*), and the figure of the
controller of [Argo Workflows](https://argoproj.github.io/workflows/) under the same load on the same
kind of machine, tuned far beyond its defaults (512 requests a second, 128 workers, a requeue time of 1 s)."""

SIZES: Final[Mapping[str, str]] = {
    "start": "{starts} runs one after another, then {starts} at once.",
    "handover": "{chains_few} chains at once, {chains_few_rounds} times; then {chains_many} at once.",
    "throughput": "In flight: one step {one_step}; five steps {dag}.",
    "cost": "{cost_runs} chains of {chain_steps} steps at once.",
    "list": "{list_workflows} workflows; {list_runs} runs, {list_live} of them live; {list_clients} clients "
    "for {list_seconds} s, then for {list_rush_seconds} s.",
    "identity": "{list_workflows} workflows that all see; {list_runs} runs, {list_live} of them live; "
    "{list_clients} clients, twice {list_seconds} s with either.",
    "archive": "{archive_workflows} workflows; {archive_runs} runs, all but {archive_cached} in the archive "
    "alone; {list_clients} clients for {archive_seconds} s with either database.",
    "memory": "Ended runs: {memory_ended}. Running ones: {memory_running}.",
    "recovery": "{recovery_runs} runs in flight; the Pods of {recovery_ended} of them end.",
    "features": "{chains_few} chains at once, {chains_few_rounds} times; then {chains_many} at once; "
    "all of it twice with everything off, and twice with everything on. Memory once used: after "
    "{features_runs} runs.",
    "scale": "Ended runs: {scale_ended}; running ones: {scale_running}; workflows: {scale_workflows}. "
    "At each {scale_starts} starts one by one; 5 chains of {chain_steps} steps, {scale_rounds} times.",
}
"""A row's sizes, which its fields fill in."""


def load_of(name: str, sizes: Mapping[str, Any]) -> str:
    """A row's sizes in words; levels as `50 (400 runs), 200 (700 runs)`."""

    def word(size: Any) -> str:
        if not isinstance(size, list):
            return f"{size:,}" if isinstance(size, int) else str(size)
        levels = [level if isinstance(level, list) else [level] for level in size]
        return ", ".join(
            f"{level[0]:,}" + "".join(f" ({count:,} runs)" for count in level[1:]) for level in levels
        )

    words = {key: word(size) for key, size in sizes.items()}
    return SIZES[name].format(**words) if name in SIZES else ""


TRIED: Final = """\
## What was tried

Each change was measured against the version before it, on two cores; the commits say how.

| | before | with it | |
| --- | --- | --- | --- |
| the operator makes its Jobs' Pods (`managedBy`): hand-over, 50 chains, p50 | 1,151 ms | 259 ms | kept |
| … 5 chains, p50 | 28 ms | 12.5 ms | |
| … one-step runs a minute | 1,372 | 1,840 | |
| a run begins without listing the Environments: start, p50 | 91 ms | 16 ms | kept |
| words that objects share are kept once: bytes a running execution, Job, Pod | 8,099 | 4,230 | kept |
| the facade answers without threads: CPU time for an answer | 1,640 µs | 540 µs | kept |
| … makes rows and orders of lists once a change | 670 µs | 275 µs | the order kept, the rows dropped since |
| … keeps answers while nothing that they show changes | | 20 µs | dropped since, for simpler code |
| … reads requests by httptools | 289 µs | 136 – 156 µs | dropped since, for simpler code |
| uvloop in the facade | 136 – 156 µs | 138 – 214 µs | dropped |
| other thresholds of the facade's garbage collector: 0.5 % of the time | | | dropped, in use again |
| 64 workers instead of 16 (a setting): hand-over, 50 chains, p50 | 329 – 445 ms | 279 – 356 ms | left at 16 |
| … 5 chains, p50 | 19.7 – 26.2 ms | 15.6 – 20.7 ms | |
| … one-step runs a minute | 1,683 – 1,803 | 1,811 | |
| a status by server-side apply: time of a request | 5.5 ms | 5.7 ms | dropped |
| … CPU time of the API server | 5.8 ms | 6.1 ms | |
| a plain kubeconfig without the official client: the facade, once imported | 74.4 MB | 64.0 MB | kept |
| archived runs without a join with workflows: PostgreSQL's time for 50 | 3.0 ms | 1.1 ms | kept |
| query parameters by pydantic alone, without FastAPI: a list of executions | 220 µs | 12 µs | kept |
| … both, and kept searches: cursor on PostgreSQL, p99, a slow machine | 20.9 – 26.0 ms | 13.4 – 18.7 ms | |
| times of lists without formats of numbers: fifty archived runs as JSON | 500 µs | 360 µs | kept |
| … all since `db06a63d`: cursor on PostgreSQL, p99, a slow machine | 24.0 – 28.8 ms | 17.0 – 22.8 ms | |

A profile of the operator under the load of the row Throughput: two thirds of a core, of which requests and
TLS take about 30 parts in a hundred, Kopf's handling of events 22, decisions 14. The API server takes most of
the machine, and limits throughput: every step costs it the writes that are counted above. So Kopf keeps
the watch of executions, and changes that would only save time in the operator were not made.

API priority and fairness was left as it is: without the rights of an administrator, who is exempt, the
operator's 25,053 requests of the row Throughput waited 0.3 ms each, and throughput was the same.

Not tried: one Pod for a chain of short steps, and Indexed Jobs for steps that are alike. Either would save
writes; but users rely on a Job, retries, a timeout, resources and logs for each step.
"""

FOOT: Final = """\
## How it is measured

- Each measurement of a row has a **control plane of its own**: etcd (without fsync), API server, controller
  manager, scheduler and kwok as processes of this machine, together with the operator, the load
  generator and the watch that takes the times. Controller manager and scheduler may make 300 requests a
  second (bursts of 600): with the default of 20 they would be the bottleneck. All other settings, also those
  of Nightcrawler, are the defaults, except that it logs warnings only.
- It is **warmed up** with some runs that do not count. The rows take turns, every other turn in reverse
  order. Median and range are of all measurements, except those that failed; the row says how many did.
- An **independent watch** takes the times: when it reports a Pod, or a run that has ended. Timestamps in
  objects have a resolution of a second.
- kwok completes a Pod after the time in its annotation. Runs are created as the facade creates them,
  directly in the API server. Every run must complete, or the measurement fails.
- **Requests** are counted in separate runs that are not timed, because the API server's audit log costs time.
- **CPU time** is user and system time of each process between the end of the warm-up and the end of the
  load; **memory** is the proportional set size at that end.

## How to repeat it

```console
$ make bench                                       # all rows, five times each: hours
$ make bench BENCH_ARGS=--short                    # a first look in minutes
$ make bench BENCH_ARGS='--repeats 3 handover'     # some rows
$ make soak                                        # an hour of steady load, with kills
$ make soak SOAK_ARGS=--away                       # then with log store and mail server away
$ make bench-compare ARGO_CONTROLLER=bin/workflow-controller ARGO_CRDS=crds/minimal
                                                   # four rows through Argo's controller too, in turns
$ make bench BENCH_ARGS=--report                   # this page, from what was measured last
```

`build/bench.json` has the medians; `build/bench-details.json` has every run, with usage by process, curves,
tables, sizes and the machine.

`make bench-compare` takes the binary of Argo's `workflow-controller`, the folder with the manifests of its
custom resources and, as `ARGO_FLAGS`, further flags. `BENCH_ARGS` are those of `make bench`, and
`--profile installed`, `tuned` (the default) or `harder`, repeated to compare several.
Both get the same load: every run must complete and every step have exactly one Pod, which is checked.
`build/bench-compare.json` has the medians by engine, row and figure; `build/bench-compare-details.json` has
every run. The controller would serve its health on port 6060 of all addresses. The bench binds that port on
loopback first, so that it cannot; its metrics are off.

Ratios carry over between machines, times do not: compare only what one idle machine measured.
"""
