"""That a kubelet tells the end of a process from that of its container's next instance, by its message."""

from __future__ import annotations

import json
from typing import Final

import msgspec
import pytest

from nightcrawler_crds.election.death import Case, Container, Holder, termination_line, why_dead
from nightcrawler_crds.kube.nativeviews import LeasePodView
from tests.support.polling import eventually
from tests.support.real_node import Installation, shell

pytestmark = pytest.mark.real_node

# The first instance ends, the second one runs on; each leaves its identity as the operator does.
_PROGRAM: Final = f"""
test -e /shared/first && identity=second || identity=first
touch /shared/$identity
echo '{termination_line("IDENTITY")}' | sed s/IDENTITY/$identity/ >> /dev/termination-log
test $identity = second && sleep 600
exit 137
"""


def test_the_kubelet_reports_the_end_of_one_instance_and_not_of_the_next(
    here: Installation, elsewhere: str
) -> None:
    """As a user without rights and on a root that cannot be written, as the operator's Pod is meant to be."""
    confined = {"runAsUser": 1000, "runAsNonRoot": True, "readOnlyRootFilesystem": True}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "leader", "namespace": elsewhere},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "shared", "emptyDir": {}}],
            "containers": [
                {
                    "name": "operator",
                    "image": "busybox:1",
                    "command": shell(_PROGRAM),
                    "securityContext": confined,
                    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                }
            ],
        },
    }
    here.cluster.api.post(f"/api/v1/namespaces/{elsewhere}/pods", pod)
    path = f"/api/v1/namespaces/{elsewhere}/pods/leader"

    def read() -> LeasePodView:
        return msgspec.json.decode(json.dumps(here.cluster.api.get(path)), type=LeasePodView, strict=False)

    def runs_again(seen: LeasePodView) -> bool:
        return any(c.state.running and c.last_state.terminated for c in seen.status.container_statuses)

    seen = eventually(read, until=runs_again, within=90, what="the container to run again")
    container = Container(namespace=elsewhere, pod="leader", pod_uid=seen.metadata.uid, name="operator")

    def is_dead(identity: str) -> bool:
        return bool(why_dead(Case(Holder("own"), Holder(identity, None, container), pod=seen)))

    assert (is_dead("first"), is_dead("second")) == (True, False)
