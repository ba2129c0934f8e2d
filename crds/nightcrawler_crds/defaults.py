"""What is in force where nobody wrote anything; the operator acts by it and the facade shows it."""

from __future__ import annotations

from typing import Final

TIMEOUT: Final = 24 * 3600.0
"""Seconds that a run may take."""
RETRY_DELAY: Final = 30.0
"""Seconds between a failure of the program and the next attempt."""
RETRIES_IF_ENABLED: Final = 3
"""Retries of a workflow that has them switched on without saying how many; otherwise there are none."""
PRIORITY: Final = "medium"
