"""When the claim of the volume that the steps of a run share is created."""

from __future__ import annotations

from nightcrawler_crds.building.run import Run
from nightcrawler_crds.building.volume import Volume
from nightcrawler_operator.snapshot import Snapshot


def missing_volume(snapshot: Snapshot, run: Run) -> Volume | None:
    """The run's volume, if its claim is to be created: before the first Job, and never again.

    A further one would be empty: what earlier steps wrote is not in it.
    """
    recorded = snapshot.execution.status.steps.values()
    begun = bool(snapshot.attempts) or any(status.attempt for status in recorded)
    return None if begun or snapshot.volume_claim is not None else run.volume
