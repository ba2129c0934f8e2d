"""Caches of what executions own, Jobs, Pods and the claims of volumes, with indexes by execution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from nightcrawler_crds import names
from nightcrawler_crds.kube.cache import Cache, Key
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.nativeviews import JobView, PodView, VolumeClaimView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_operator.cluster import relevant
from nightcrawler_operator.decisions.ownership import is_owned_by, owner_name
from nightcrawler_operator.decisions.pods import ENDED, as_first_deleted
from nightcrawler_operator.keys import ExecutionKey, LeftoverKey, WorkKey


class ChildCaches:
    """What executions own. `wake` is called for the execution, or its leftovers, if something changes.

    The indexes are by the UID of the execution, taken from a label: a copy in another namespace has it too.
    """

    def __init__(
        self,
        store: Store,
        namespace: str,
        executions: Cache[ExecutionView],
        wake: Callable[[WorkKey], None],
    ) -> None:
        self._executions = executions
        self._wake = wake
        informer = partial(
            Informer,
            store,
            namespace=namespace,
            label_selector=names.LABEL_EXECUTION_UID,
            keep_unreadable=True,
        )
        self.jobs: Informer[JobView] = informer(names.JOBS, JobView, on_change=self._job_changed)
        self.pods: Informer[PodView] = informer(names.PODS, PodView, on_change=self._pod_changed)
        self.volume_claims: Informer[VolumeClaimView] = informer(
            names.VOLUME_CLAIMS, VolumeClaimView, on_change=self._volume_claim_changed
        )
        self.jobs_of: dict[str, dict[Key, JobView]] = {}
        self.pods_of: dict[str, dict[Key, PodView]] = {}
        # By the UID of the Job: its Pod that was seen to be deleted, and Jobs whose final status is refused.
        self.lost_pods: dict[str, str] = {}
        self.unreportable: set[str] = set()

    def labelled_jobs(self, uid: str, namespace: str) -> list[JobView]:
        """The Jobs in a namespace with an execution's label, whether it owns them or not."""
        return [job for (where, _), job in self.jobs_of.get(uid, {}).items() if where == namespace]

    # --- leftovers -------------------------------------------------------------------------------

    def leftovers(self) -> Iterator[LeftoverKey]:
        """Every execution that has Jobs, or a claim, and is not live."""
        metas = {uid: [job.metadata for job in jobs.values()] for uid, jobs in self.jobs_of.items()}
        for claim in self.volume_claims.cache:
            metas.setdefault(claim.metadata.labels.execution_uid, []).append(claim.metadata)
        for uid, some in metas.items():
            for namespace, name in {(m.namespace, owner_name(m, uid)) for m in some if is_owned_by(m, uid)}:
                if not self._is_live(uid, namespace, name):
                    yield LeftoverKey(namespace, name, uid)

    def has_leftovers(self, key: LeftoverKey) -> bool:
        """Whether an execution owns Jobs or a claim."""
        return self.has_jobs(key.uid, key.namespace) or self.volume_claim_of(key) is not None

    def has_jobs(self, uid: str, namespace: str) -> bool:
        """Whether an execution owns Jobs in its namespace."""
        return any(is_owned_by(job.metadata, uid) for job in self.labelled_jobs(uid, namespace))

    def volume_claim_of(self, key: LeftoverKey) -> VolumeClaimView | None:
        """The claim that an execution owns and that is not being deleted; not one that is to be kept."""
        claim = self.volume_claims.cache.get((key.namespace, names.volume_claim_name(key.name, key.uid)))
        if claim is None or claim.metadata.deletion_timestamp is not None:
            return None
        return claim if is_owned_by(claim.metadata, key.uid) else None

    def wake_leftovers(self, key: LeftoverKey) -> None:
        """Queue what an execution leaves, if that is something."""
        if self.has_leftovers(key):
            self._wake(key)

    # --- changes ---------------------------------------------------------------------------------

    def _job_changed(self, old: JobView | None, new: JobView | None) -> None:
        some = new or old
        assert some is not None
        meta = some.metadata
        uid = meta.labels.execution_uid
        if old is not None and old.metadata.labels.execution_uid != uid:
            self._job_changed(old, None)
            old = None
        jobs = self.jobs_of.setdefault(uid, {})
        if new is not None:
            jobs[meta.key] = new
        else:
            jobs.pop(meta.key, None)
            self.lost_pods.pop(meta.uid, None)
            self.unreportable.discard(meta.uid)
            if not jobs:
                del self.jobs_of[uid]
        changed = old is not None and new is not None and relevant.job_state(old) != relevant.job_state(new)
        stray = old is None and not self._is_live(uid, meta.namespace, meta.labels.execution)
        if new is None or stray or (changed and not self._is_reported_by_pod(new)):
            self._wake_owner(uid, meta.namespace, meta.labels.execution)

    def _pod_changed(self, old: PodView | None, new: PodView | None) -> None:
        some = new or old
        assert some is not None
        meta = some.metadata
        uid = meta.labels.execution_uid
        if old is not None and old.metadata.labels.execution_uid != uid:
            self._pod_changed(old, None)
            old = None
        pods = self.pods_of.setdefault(uid, {})
        if new is not None:
            pods[meta.key] = as_first_deleted(pods.get(meta.key), new)
        else:
            pods.pop(meta.key, None)
            if not pods:
                del self.pods_of[uid]
            self._note_lost_pod(uid, some)
        # A Pod's creation needs no reconcile: its Job was created for that.
        if new is None or relevant.pod_state(new) != (relevant.pod_state(old) if old else relevant.CREATED):
            self._wake_owner(uid, meta.namespace, meta.labels.execution)

    def _volume_claim_changed(self, old: VolumeClaimView | None, new: VolumeClaimView | None) -> None:
        some = new or old
        assert some is not None
        state = relevant.volume_claim_state
        if old is not None and new is not None and state(old) == state(new):
            return
        labels = some.metadata.labels
        self._wake_owner(labels.execution_uid, some.metadata.namespace, labels.execution)

    def _wake_owner(self, uid: str, namespace: str, execution: str) -> None:
        if self._is_live(uid, namespace, execution):
            self._wake(ExecutionKey(namespace, execution))
        else:
            self.wake_leftovers(LeftoverKey(namespace, execution, uid))

    def _note_lost_pod(self, uid: str, pod: PodView) -> None:
        jobs = [job.metadata.uid for job in self.jobs_of.get(uid, {}).values()]
        self.lost_pods.update((job, pod.metadata.name) for job in jobs if is_owned_by(pod.metadata, job))

    def _is_reported_by_pod(self, job: JobView) -> bool:
        """Whether a Job only reports what its finished Pod showed already, up to a second before."""
        meta = job.metadata
        pods = self.pods_of.get(meta.labels.execution_uid, {}).values()
        return meta.deletion_timestamp is None and any(
            is_owned_by(pod.metadata, meta.uid) and pod.status.phase in ENDED for pod in pods
        )

    def _is_live(self, uid: str, namespace: str, execution: str) -> bool:
        known = self._executions.get((namespace, execution))
        return known is not None and known.metadata.uid == uid
