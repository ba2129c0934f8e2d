"""Defaults for fields that are not set; the operator applies them and the facade shows them."""

from __future__ import annotations

from typing import Final

TIMEOUT: Final = 7 * 24 * 3600.0
"""Timeout of a run, in seconds."""
RETRY_DELAY: Final = 30.0
"""Seconds between a failed attempt and the next."""
RETRIES_IF_ENABLED: Final = 3
"""Retries of a workflow with enableRetry that sets no number; others have none."""
PRIORITY: Final = "medium"
TIME_ZONE: Final = "UTC"
"""Time zone of schedules that name none."""
STORAGE_FS_GROUP: Final = 65532
"""The group that owns the volumes of runs."""
