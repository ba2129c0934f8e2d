"""Environments and compute profiles over REST, as the cluster has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.builders import an_environment
from tests.support.environments import OBSERVED
from tests.support.facade import PROBLEM, Json, Served, environments
from tests.support.polling import eventually
from tests.support.resources import path_of


@pytest.fixture(scope="module", autouse=True)
def there(served: Served) -> Iterator[None]:
    """Two environments, one of which the operator has looked at."""
    prices = {"currency": "USD", "gpuHour": 2.5}
    seen = an_environment("seen", display_name="Seen", aliases=["production"], prices=prices, speed=2)
    with environments(served, seen, an_environment("unseen", state="Cordoned")):
        report(served, **OBSERVED)
        eventually(lambda: get(served, "/api/environments/seen")["status"] == "ready", what="its status")
        yield


def report(served: Served, **status: Any) -> None:
    """Write the status of an Environment, as the operator does."""
    served.cluster.api.merge(f"{path_of('Environment')}/seen/status", {"status": status})


def get(served: Served, path: str, code: int = 200, **query: Any) -> Json:
    answer = served.http.get(path, params=query)
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == (PROBLEM if code >= 400 else "application/json")
    read: Json = answer.json()
    return read


def test_a_list_has_what_is_free_and_what_it_costs(served: Served) -> None:
    page = get(served, "/api/environments")
    assert [row["id"] for row in page["environments"]] == ["seen", "unseen"]
    seen, unseen = page["environments"]
    assert seen == {
        "id": "seen",
        "name": "Seen",
        "aliases": ["production"],
        "default": False,
        "status": "ready",
        "message": "1 node ready",
        "nodes": {"scaling": "Autoscaled", "total": 1, "ready": 1},
        "running": 2,
        "waiting": 1,
        "capacity": {"cpu": 64.0, "memoryBytes": 512 * 2**30, "gpus": 8},
        "free": {"cpu": 61.5, "memoryBytes": 502 * 2**30, "gpus": 5},
        "gpus": OBSERVED["gpus"],
        "prices": {"currency": "USD", "gpuHour": 2.5},
    }
    assert (unseen["status"], unseen["running"], "free" in unseen) == ("cordoned", 0, False)
    assert get(served, "/api/environments", status="cordoned")["total"] == 1
    assert get(served, "/api/environments", gpu="A100")["environments"] == [seen]
    assert get(served, "/api/environments", gpu="H100")["total"] == 0


def test_a_page_is_continued_by_its_cursor(served: Served) -> None:
    first = get(served, "/api/environments", pageSize=1)
    rest = get(served, "/api/environments", pageSize=1, cursor=first["nextCursor"])
    assert [page["environments"][0]["id"] for page in (first, rest)] == ["seen", "unseen"]
    assert "nextCursor" not in rest
    problem = get(served, "/api/environments", 422, cursor=first["nextCursor"], sort="-name")
    assert problem["errors"][0]["parameter"] == "cursor"
    problem = get(served, "/api/environments", 422, status="broken")
    assert problem["errors"][0]["parameter"] == "status"


def test_an_environment_is_shown_by_its_id_or_an_alias(served: Served) -> None:
    shown = get(served, "/api/environments/production")
    assert (shown["id"], shown["speed"]) == ("seen", 2)
    problem = get(served, "/api/environments/mars", 404)
    assert problem["detail"] == "there is no environment 'mars'; there are: production, seen, unseen"


def test_its_tag_changes_with_its_status_and_not_before(served: Served) -> None:
    path = "/api/environments/seen"
    tag = served.http.get(path).headers["etag"]
    assert served.http.get(path, headers={"If-None-Match": tag}).status_code == 304
    report(served, running=3)
    eventually(
        lambda: served.http.get(path, headers={"If-None-Match": tag}).status_code == 200, what="another tag"
    )
    assert get(served, path)["running"] == 3
    report(served, **OBSERVED)


def test_compute_profiles_are_those_of_the_cluster(served: Served) -> None:
    page = get(served, "/api/compute-profiles")
    assert {row["name"] for row in page["computeProfiles"]} >= {"Standard", "GPU-Optimized"}
    shown = get(served, "/api/compute-profiles/GPU-Optimized")
    assert shown["resources"]["gpu"]
    assert get(served, f"/api/compute-profiles/{shown['id']}") == shown
    assert "there are: " in get(served, "/api/compute-profiles/x", 404)["detail"]
