"""One measurement: taken, printed, and recorded whether it succeeded or not."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

from tests.bench.measured import Measured
from tests.bench.record import Record


def take(
    row: str, measuring: Callable[[], Coroutine[Any, Any, Measured]], record: Record, title: str = ""
) -> bool:
    """Measure a row once and write it down; False, and said so, if that failed.

    `title` is what it is called on the terminal, if not by its name.
    """
    shown = title or row
    began, load = time.monotonic(), os.getloadavg()[0]
    # What the rows before have left must not be looked through while this one is timed.
    gc.collect()
    gc.freeze()
    print(f"{shown}: measuring …", flush=True)
    try:
        measured = asyncio.run(measuring())
    except Exception as error:  # noqa: BLE001 - whatever it is, the other rows can still be measured
        why = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
        print(f"{shown}: FAILED after {time.monotonic() - began:.0f} s\n{why}", flush=True)
        record.fail(row, why)
        return False
    seconds = time.monotonic() - began
    record.add(row, measured, seconds=seconds, load_average=load)
    figures = ", ".join(f"{key} {value:g}" for key, value in measured.figures.items())
    print(f"{shown}: {figures}  ({seconds:.0f} s)", flush=True)
    return True
