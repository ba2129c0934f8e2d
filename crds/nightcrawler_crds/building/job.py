"""The Job of one attempt of a step, and the Pod of that Job.

One Job an attempt, with `backoffLimit: 0` and no podFailurePolicy: whether a step is
tried again is decided in one place, and the Job controller's own back-off starts at 10 s.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.building import onenode, podsecurity
from nightcrawler_crds.building.merge import merge_pod
from nightcrawler_crds.building.pod import fixed_selector, pod_spec
from nightcrawler_crds.building.run import NewJob, PodDefaults, Run
from nightcrawler_crds.building.volume import Volume
from nightcrawler_crds.kube.nativeviews import WholeJobView
from nightcrawler_crds.planning.resolved import resolve, tolerates_device
from nightcrawler_crds.v1alpha1 import Step
from nightcrawler_crds.validation import is_secure, profile_name


def job(run: Run, new: NewJob, limits: PodDefaults, *, managed: bool = True) -> dict[str, Any]:
    """The manifest of the Job; if it is `managed`, the operator creates its Pod."""
    step = run.revision.steps[new.step]
    labels = {
        names.LABEL_WORKFLOW: run.workflow,
        names.LABEL_EXECUTION: run.execution,
        names.LABEL_EXECUTION_UID: run.execution_uid,
    }
    annotations = {
        names.ANNOTATION_STEP: new.step,
        names.ANNOTATION_ATTEMPT: str(new.attempt),
        names.ANNOTATION_REVISION: run.revision.name,
        **({names.ANNOTATION_ENVIRONMENT: run.place} if run.place else {}),
    }
    return {
        "apiVersion": names.JOBS.api_version,
        "kind": names.JOBS.kind,
        "metadata": {
            "name": new.name,
            "namespace": run.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [_owner(run)],
        },
        "spec": {
            **({"managedBy": names.MANAGED_BY} if managed else {}),
            "backoffLimit": 0,
            "template": _template(run, step, new, limits, labels, annotations),
        },
    }


def pod(job: WholeJobView) -> dict[str, Any]:
    """The manifest of the one Pod of a Job, from the template as the API server took it.

    As the Job controller would create it, except for the name, which is the Job's, so that there is only
    one. The Job controller's finalizer keeps the Pod until its result is read; that controller removes it
    when the Job is deleted, so nothing is left behind where no operator runs.

    Unlike that controller's Pods, it does not block the deletion of its Job (`blockOwnerDeletion`): nothing
    needs that, and with OwnerReferencesPermissionEnforcement it takes a right on finalizers.
    """
    meta, template = job.metadata, job.spec.template
    marks = template.get("metadata") or {}
    return {
        "apiVersion": names.PODS.api_version,
        "kind": names.PODS.kind,
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": marks.get("labels") or {},
            "annotations": marks.get("annotations") or {},
            "finalizers": [*(marks.get("finalizers") or ()), names.JOB_TRACKING],
            "ownerReferences": [
                {
                    "apiVersion": names.JOBS.api_version,
                    "kind": names.JOBS.kind,
                    "name": meta.name,
                    "uid": meta.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": template["spec"],
    }


def _template(
    run: Run,
    step: Step,
    new: NewJob,
    limits: PodDefaults,
    labels: dict[str, str],
    annotations: dict[str, str],
) -> dict[str, Any]:
    merged = _merged(run, step, new, limits)
    if run.volume is not None:
        _share_volume(merged["spec"], run, run.volume, step, limits)
    if is_secure(run.revision.spec):
        _keep_logs_out(merged["spec"])
    merged["spec"] = podsecurity.filled(merged["spec"], limits.pod_policy.level)
    metadata = merged.setdefault("metadata", {})
    # Ours last: a podTemplate must not make a Pod look like another execution's.
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    return merged


def _merged(run: Run, step: Step, new: NewJob, limits: PodDefaults) -> dict[str, Any]:
    """The Pod of a step with the podTemplates of its Environment and of its own over it."""
    built = {"metadata": {}, "spec": pod_spec(run, step, new, limits)}
    of_environment = merge_pod(built, run.environment.pod_template or {})
    merged = merge_pod(of_environment, step.pod_template or {})
    resolved = resolve(step, run.revision, run.environment, limits)
    if selector := fixed_selector(run, resolved.gpus(run.gpu_products)):
        # The Environment's last: a podTemplate may narrow it, but not leave it.
        asked = merged["spec"].get("nodeSelector") or {}
        merged["spec"]["nodeSelector"] = {**asked, **selector}
    return merged


def _share_volume(spec: dict[str, Any], run: Run, volume: Volume, step: Step, limits: PodDefaults) -> None:
    """Let a step's program write to the run's volume, and run where all steps can if it is on one node."""
    context = dict(spec.get("securityContext") or {})
    if limits.storage_fs_group and "fsGroup" not in context:
        # All steps the same, so that each can read and replace what others wrote.
        spec["securityContext"] = {
            **context,
            "fsGroup": limits.storage_fs_group,
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    if not volume.on_one_node:
        return
    steps = _by_choice_of_nodes(run, limits)
    own = _choice_of_nodes(run, step, limits)
    others = [one for choice, one in steps.items() if choice != own]
    devices = {
        gpus.resource
        for other in others
        if (gpus := resolve(other, run.revision, run.environment, limits).gpus(run.gpu_products)) is not None
    }
    onenode.bind(
        spec,
        [_merged(run, one, NewJob(one.name, 1, ""), limits)["spec"] for one in others],
        nodes=run.node_terms,
        tolerations=[tolerates_device(resource) for resource in sorted(devices)],
        beside=run.execution_uid if run.revision.runs_in_parallel else None,
    )


def _by_choice_of_nodes(run: Run, limits: PodDefaults) -> dict[bytes, Step]:
    """One step for each way in which the steps of a run choose their nodes; there are few ways."""
    found: dict[bytes, Step] = {}
    for step in run.revision.steps.values():
        found.setdefault(_choice_of_nodes(run, step, limits), step)
    return found


def _choice_of_nodes(run: Run, step: Step, limits: PodDefaults) -> bytes:
    """What of a step decides about its nodes."""
    template = (step.pod_template or {}).get("spec") or {}
    resolved = resolve(step, run.revision, run.environment, limits)
    return msgspec.json.encode(
        [
            profile_name(step, run.revision.spec),
            resolved.resources.gpu,
            [template.get(field) for field in ("nodeSelector", "affinity", "tolerations")],
        ],
        order="deterministic",
    )


def _keep_logs_out(spec: dict[str, Any]) -> None:
    """Let no container put lines of its log into the status, as an Environment's podTemplate may ask."""
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        container["terminationMessagePolicy"] = "File"


def _owner(run: Run) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EXECUTIONS.kind,
        "name": run.execution,
        "uid": run.execution_uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
