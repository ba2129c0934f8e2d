"""Environments and compute profiles over REST: what is shown, filtered and continued."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from nightcrawler_api.environments.presenter import environment_detail, environment_row, status_of
from nightcrawler_api.environments.queries import EnvironmentParameters, ProfileParameters
from nightcrawler_api.environments.service import EnvironmentService
from nightcrawler_api.errors import Invalid
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds.errors import NotFound
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView, ProfileView
from tests.support.views import CREATED, at, execution, profile

Json = dict[str, Any]
NOW: Final = at("14:45:00")
A100: Final = {"resource": "nvidia.com/gpu", "model": "NVIDIA-A100-SXM4-80GB", "capacity": 16, "free": 5}
OBSERVED: Final[Json] = {
    "nodes": 3,
    "readyNodes": 2,
    "capacity": {"cpu": "95800m", "memory": "388744Mi", "ephemeral-storage": "2Ti", "nvidia.com/gpu": "18"},
    "free": {"cpu": "30500m", "memory": "64Gi", "ephemeral-storage": "2Ti", "nvidia.com/gpu": "6"},
    "largestFreeNode": {"name": "gpu-2", "free": {"cpu": "16", "memory": "32Gi", "nvidia.com/gpu": "4"}},
    "gpus": [{**A100, "largestFree": 4}, {"resource": "nvidia.com/gpu", "capacity": 2, "free": 1}],
    "running": 4,
    "waiting": 1,
}


def condition(status: str, reason: str, message: str = "why") -> Json:
    return {"type": "Ready", "status": status, "reason": reason, "message": message}


def an_environment(
    name: str = "dgx", *, created: str = "2025-07-10T14:00:00Z", status: Json | None = None, **spec: Any
) -> EnvironmentView:
    meta = {"name": name, "uid": f"u-{name}", "resourceVersion": "7", "creationTimestamp": created}
    return msgspec.convert(
        {"metadata": meta, "spec": spec, "status": status or {}}, EnvironmentView, strict=False
    )


class Served:
    """The service over caches that hold these objects."""

    def __init__(self, *there: EnvironmentView | ProfileView) -> None:
        self.cluster = ClusterCache(Store(Connection(Identity("http://localhost"), "test")), "default")
        for one in there:
            cache = self.cluster._environments if isinstance(one, EnvironmentView) else self.cluster._profiles
            cache.cache.upsert(one)  # type: ignore[arg-type]
        self.service = EnvironmentService(self.cluster)

    def ids(self, **query: Any) -> list[str]:
        page = self.service.page(EnvironmentParameters.model_validate(query))
        assert page["total"] >= len(page["environments"])
        return [row["id"] for row in page["environments"]]


# --- what is shown -----------------------------------------------------------------------------------


def test_amounts_are_numbers_and_gpus_are_of_all_models() -> None:
    prices = {"gpuHour": 2.5}
    view = an_environment(
        status=OBSERVED, displayName="DGX", aliases=["production"], maxRunning=5, prices=prices
    )
    assert environment_row(view, (4, 1), NOW) == {
        "id": "dgx",
        "name": "DGX",
        "aliases": ["production"],
        "default": False,
        "status": "unknown",
        "message": "the operator has not observed it yet",
        "nodes": {"scaling": "Autoscaled", "total": 3, "ready": 2},
        "running": 4,
        "waiting": 1,
        "maxRunning": 5,
        "capacity": {"cpu": 95.8, "memoryBytes": 388744 * 2**20, "storageBytes": 2**41, "gpus": 18},
        "free": {"cpu": 30.5, "memoryBytes": 2**36, "storageBytes": 2**41, "gpus": 6},
        "gpus": OBSERVED["gpus"],
        "prices": {"gpuHour": 2.5},
    }


def test_in_full_there_is_what_else_is_set() -> None:
    window = {"start": "2025-07-12T20:00:00Z", "end": "2025-07-13T06:00:00Z"}
    view = an_environment(
        status=OBSERVED, speed=4, nodes="Fixed", nodeSelector={"a": "b"}, maintenance=[window]
    )
    shown = environment_detail(view, (0, 0), NOW)
    assert shown["largestFreeNode"] == {
        "name": "gpu-2",
        "free": {"cpu": 16.0, "memoryBytes": 2**35, "gpus": 4},
    }
    assert (shown["createdAt"], shown["speed"]) == ("2025-07-10T14:00:00Z", 4)
    assert (shown["nodeSelector"], shown["maintenance"]) == ({"a": "b"}, [window])
    assert "gpuModels" not in shown


def test_what_the_operator_has_not_observed_is_missing() -> None:
    shown = environment_detail(an_environment(), (0, 0), NOW)
    assert not shown.keys() & {"capacity", "free", "gpus", "largestFreeNode", "maxRunning", "prices"}
    assert shown["nodes"] == {"scaling": "Autoscaled"}


def window(start: str, end: str) -> Json:
    return {"start": f"2025-07-10T{start}Z", "end": f"2025-07-10T{end}Z", "description": "new disks"}


@pytest.mark.parametrize(
    ("spec", "recorded", "shown"),
    [
        ({}, condition("True", "NodesReady", "3 nodes ready"), ("ready", "3 nodes ready")),
        ({}, condition("Unknown", "NoReadyNode"), ("unknown", "why")),
        ({"nodes": "Fixed"}, condition("False", "NoReadyNode"), ("notReady", "why")),
        (
            {"state": "Cordoned"},
            condition("True", "NodesReady"),
            ("cordoned", "no step is started here: it is cordoned"),
        ),
        (
            {"maintenance": [window("14:00:00", "15:00:00")]},
            condition("True", "NodesReady"),
            (
                "maintenance",
                "no step is started here: it is under maintenance until 2025-07-10T15:00:00Z (new disks)",
            ),
        ),
        (
            {"maintenance": [window("15:00:00", "16:00:00")]},
            condition("True", "NodesReady"),
            ("ready", "why"),
        ),
        # It was opened a moment ago, and the operator has not looked at its nodes since.
        (
            {},
            condition("False", "Cordoned"),
            ("unknown", "it has just been opened; the operator has not observed it yet"),
        ),
        ({"speed": "fast"}, condition("False", "InvalidEnvironment"), ("notReady", "why")),
    ],
)
def test_the_status_follows_the_spec_at_once_and_the_nodes_as_they_are_observed(
    spec: Json, recorded: Json, shown: tuple[str, str]
) -> None:
    assert status_of(an_environment(status={"conditions": [recorded]}, **spec), NOW) == shown


# --- lists -------------------------------------------------------------------------------------------

THERE: Final = (
    an_environment("b", displayName="Alpha", aliases=["production"], status=OBSERVED),
    an_environment("a", created="2025-07-10T13:00:00Z", state="Cordoned"),
    an_environment("c", gpuModels=[{"model": "AMD Instinct MI300X"}], created="2025-07-10T15:00:00Z"),
)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["a", "b", "c"]),
        ({"sort": "-name"}, ["c", "b", "a"]),
        ({"sort": "createdAt"}, ["a", "b", "c"]),
        ({"search": "alpha"}, ["b"]),
        ({"search": "PRODUCT"}, ["b"]),
        ({"status": "cordoned"}, ["a"]),
        ({"status": "unknown"}, ["b", "c"]),
        ({"status": "all"}, ["a", "b", "c"]),
        ({"status": ""}, ["a", "b", "c"]),
        ({"gpu": "A100"}, ["b"]),
        ({"gpu": "mi300x"}, ["c"]),
        ({"gpu": "A100 40GB"}, []),
        ({"pageSize": 2}, ["a", "b"]),
        ({"pageSize": 2, "page": 2}, ["c"]),
        ({"page": 9}, []),
    ],
)
def test_environments_are_filtered_and_sorted_by_their_names_for_people(query: Json, ids: list[str]) -> None:
    assert Served(*THERE).ids(**query) == ids


@pytest.mark.parametrize("sort", ["name", "-name", "createdAt", "-createdAt"])
def test_a_cursor_continues_where_the_page_ended(sort: str) -> None:
    served = Served(*THERE)
    all_ = served.ids(sort=sort)
    page = served.service.page(EnvironmentParameters.model_validate({"sort": sort, "pageSize": 2}))
    served.cluster._environments.cache.upsert(
        an_environment("0", displayName="0", created="2020-01-01T00:00:00Z")
    )
    rest = served.ids(sort=sort, cursor=page["nextCursor"])
    found = [*(row["id"] for row in page["environments"]), *rest]
    assert [one for one in found if one != "0"] == all_


def test_a_cursor_of_another_order_is_refused() -> None:
    served = Served(*THERE)
    page = served.service.page(EnvironmentParameters.model_validate({"pageSize": 1}))
    with pytest.raises(Invalid):
        served.ids(sort="-name", cursor=page["nextCursor"])


def test_an_environment_is_found_by_its_id_or_an_alias_and_no_other_name() -> None:
    served = Served(*THERE, an_environment("any", default=True, acceptAnyName=True))
    assert served.service.show("b")["id"] == served.service.show("production")["id"] == "b"
    with pytest.raises(
        NotFound, match=r"there is no environment 'mars'; there are: a, any, b, c, production"
    ):
        served.service.show("mars")


def test_runs_are_those_of_the_cluster_or_of_the_namespace_if_nobody_counts_those() -> None:
    served = Served(an_environment("counted", status=OBSERVED), an_environment("own"))
    for name, place, started in (
        ("r1", "own", True),
        ("r2", "own", False),
        ("r3", "counted", True),
        ("r4", "", True),
    ):
        start = "2025-07-10T14:45:00Z" if started else None
        run = execution(name, phase="Running", environment=place or None, startTime=start)
        served.cluster.cache_execution(run)
    ended = execution("r5", phase="Completed", environment="own", startTime="2025-07-10T14:45:00Z")
    served.cluster.cache_execution(ended)
    shown = {name: served.service.show(name) for name in ("counted", "own")}
    assert {name: (one["running"], one["waiting"]) for name, one in shown.items()} == {
        "counted": (4, 1),
        "own": (1, 1),
    }


def test_compute_profiles_are_shown_as_they_are_written() -> None:
    gpu = profile(
        "gpu-optimized",
        displayName="GPU-Optimized",
        resources={"gpu": "1x A100", "memory": "64 GB"},
        sharedMemory="16 GB",
        env=[{"name": "A", "value": "b"}],
    )
    service = Served(gpu, profile("standard", displayName="Standard", resources={"cpu": 2})).service
    row = {
        "id": "gpu-optimized",
        "name": "GPU-Optimized",
        "resources": {"gpu": "1x A100", "memory": "64 GB"},
        "sharedMemory": "16 GB",
    }
    page = service.profiles(ProfileParameters.model_validate({"search": "gpu"}))
    assert page == {"computeProfiles": [row], "total": 1, "page": 1, "pageSize": 10}
    detail = {**row, "createdAt": CREATED, "env": [{"name": "A", "value": "b"}]}
    assert service.show_profile("gpu-optimized") == service.show_profile("GPU-Optimized") == detail
    with pytest.raises(
        NotFound, match=r"there is no compute profile 'x'; there are: GPU-Optimized, Standard"
    ):
        service.show_profile("x")
