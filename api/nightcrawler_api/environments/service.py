"""Use cases of environments and compute profiles: list and show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nightcrawler_api.environments.presenter import (
    environment_detail,
    environment_row,
    name_of,
    profile_detail,
    profile_row,
    status_of,
)
from nightcrawler_api.environments.queries import EnvironmentParameters, NamedParameters, ProfileParameters
from nightcrawler_api.environments.schemas import (
    EnvironmentDetail,
    EnvironmentList,
    ProfileDetail,
    ProfileList,
)
from nightcrawler_api.pagination import continued
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import searchable
from nightcrawler_api.state.ordering import Order, Part, SortKey, part
from nightcrawler_crds import clock
from nightcrawler_crds.errors import NotFound
from nightcrawler_crds.kube.views import EnvironmentView, ProfileView
from nightcrawler_crds.validation import (
    find_environment,
    find_profile,
    is_called,
    unknown_environment,
    unknown_profile,
)
from nightcrawler_crds.words.gpumodels import model_matches

V = TypeVar("V", EnvironmentView, ProfileView)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    """An object of a list: `text` is what is searched, its name first."""

    view: V
    order: Order
    text: str


class EnvironmentService:
    """Environments and compute profiles, of the whole cluster; their runs are those of the namespace."""

    def __init__(self, cluster: ClusterCache) -> None:
        self._cluster = cluster

    def page(self, asked: EnvironmentParameters) -> EnvironmentList:
        """A page of environments."""
        now = clock.utcnow()
        found = self._cluster.environments()
        if asked.status not in (None, "all"):
            found = [view for view in found if status_of(view, now)[0] == asked.status]
        if asked.gpu is not None:
            found = [view for view in found if _has_gpu(view, asked.gpu)]
        shown = _part(found, asked)
        runs = self._runs()
        page: EnvironmentList = {
            "environments": [
                environment_row(one.view, _runs_of(one.view, runs), now) for one in shown.entries
            ],
            "total": shown.total,
            "page": asked.page,
            "pageSize": asked.page_size,
        }
        return continued(page, asked.sort, shown.next)

    def show(self, environment_id: str) -> EnvironmentDetail:
        """An environment in full, by its id or an alias; raises `NotFound`."""
        environments = self._cluster.environments()
        found = find_environment(environment_id, environments)
        if found is None or not is_called(found, environment_id):  # the default one may accept any name
            raise NotFound(unknown_environment(environment_id, environments))
        return environment_detail(found, _runs_of(found, self._runs()), clock.utcnow())

    def profiles(self, asked: ProfileParameters) -> ProfileList:
        """A page of compute profiles."""
        shown = _part(self._cluster.profiles(), asked)
        page: ProfileList = {
            "computeProfiles": [profile_row(one.view) for one in shown.entries],
            "total": shown.total,
            "page": asked.page,
            "pageSize": asked.page_size,
        }
        return continued(page, asked.sort, shown.next)

    def show_profile(self, profile_id: str) -> ProfileDetail:
        """A compute profile in full, by its id or its name; raises `NotFound`."""
        profiles = self._cluster.profiles()
        found = find_profile(profile_id, profiles)
        if found is None:
            raise NotFound(unknown_profile(profile_id, profiles))
        return profile_detail(found)

    def _runs(self) -> Counter[tuple[str, bool]]:
        """The live runs of the namespace, by environment and whether they have started."""
        return Counter(
            (run.status.environment, run.status.start_time is not None)
            for run in self._cluster.index.runs.live()
            if run.status.environment
        )


def _part(views: Iterable[V], asked: NamedParameters) -> Part[_Entry[V]]:
    """The part of a list that a page shows."""
    entries = [_entry(view) for view in views]
    if needle := searchable(asked.search):
        entries = [entry for entry in entries if needle in entry.text]
    entries.sort(key=lambda entry: entry.order)
    key = SortKey[_Entry[V]](lambda entry: entry.text.partition("\n")[0])
    by_name = key if asked.ordering.field == "name" else None
    return part(entries, asked.ordering, asked.window.offset, asked.window.limit, by_name)


def _entry(view: V) -> _Entry[V]:
    meta = view.metadata
    created = meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0
    names = (name_of(view), meta.name, *(view.spec.get("aliases") or ()))
    # Line feeds between them: a search must not match across them.
    return _Entry(view, (created, meta.namespace, meta.name), searchable("\n".join(names)))


def _has_gpu(view: EnvironmentView, model: str) -> bool:
    """Whether an environment has GPUs of a model, or declares that its nodes have them."""
    declared = [one.get("model") for one in view.spec.get("gpuModels") or ()]
    there = [one.model for one in view.status.gpus or ()]
    return any(name and model_matches(model, name) for name in (*declared, *there))


def _runs_of(view: EnvironmentView, runs: Counter[tuple[str, bool]]) -> tuple[int, int]:
    """The runs that have started and those that wait: of the cluster if known, else of the namespace."""
    name, recorded = view.metadata.name, view.status
    if recorded.running is None or recorded.waiting is None:
        return runs[name, True], runs[name, False]
    return recorded.running, recorded.waiting
