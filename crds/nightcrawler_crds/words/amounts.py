"""CPU, memory and GPUs: "16 cores", "64 GB", "8x NVIDIA A100"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from nightcrawler_crds.words.grammar import NUMBER, Kind, Word

MAX_CORES: Final = 100_000
MAX_BYTES: Final = 512 * 2**50
MAX_GPUS: Final = 1024

_NONE: Final = "None|none|NONE"

CPU_PATTERN: Final = rf"^(?:{_NONE}|({NUMBER})(?: *(m|[Cc]ores?|v?CPUs?|v?cpus?))?)$"
CPU_FORMS: Final = 'cores such as "16 cores", 16 or 0.5, thousandths of one such as "500m", or "None"'

MEMORY_PATTERN: Final = (
    rf"^(?:{_NONE}|({NUMBER}(?:[eE]\+?[0-9]{{1,2}})?)"
    rf"|({NUMBER}) *(B|[Bb]ytes?|[KkMGgTtPp]|[KkMmGgTtPp](?:[Ii][Bb]?|[Bb])))$"
)
MEMORY_FORMS: Final = (
    'an amount with its unit such as "64 GB", "1.5 GB" or "500M" (powers of 1000), '
    '"64Gi" or "64 GiB" (powers of 1024), a plain number of bytes, or "None"'
)

# A model without a count must contain a digit: otherwise "no" or "any" would be a model that no
# node has, and the step would wait for it.
_MODEL_REST: Final = "(?:[A-Za-z0-9._ -]*[A-Za-z0-9])?"
GPU_PATTERN: Final = (
    rf"^(?:{_NONE}|([0-9]+)(?: *(?:[Xx] *([A-Za-z]{_MODEL_REST})|GPUs?|gpus?))?"
    rf"|([A-Za-z][A-Za-z._ -]*[0-9]{_MODEL_REST}))$"
)
GPU_FORMS: Final = (
    'a count such as 8 or "8", a count and a model such as "8x NVIDIA A100", '
    'one of a model such as "NVIDIA A100", or "None"'
)

_BYTE_UNITS: Final = {
    **{prefix: 1000**power for power, prefix in enumerate("kmgtp", start=1)},
    **{prefix + "i": 1024**power for power, prefix in enumerate("kmgtp", start=1)},
}
# Kubernetes writes 1000 as a lower-case k, and 1024 as Ki.
_QUANTITY_SUFFIXES: Final = {"": 1} | {
    unit if unit == "k" else unit.capitalize(): size for unit, size in _BYTE_UNITS.items()
}


@dataclass(frozen=True, slots=True, order=True)
class Cpu:
    """A CPU amount, in thousandths of a core, the finest that Kubernetes accepts."""

    millicores: int

    @property
    def quantity(self) -> str:
        """Kubernetes' form: "16", "500m"."""
        cores, rest = divmod(self.millicores, 1000)
        return f"{self.millicores}m" if rest else str(cores)


@dataclass(frozen=True, slots=True, order=True)
class Bytes:
    """An amount of memory or storage, in bytes."""

    count: int

    @property
    def quantity(self) -> str:
        """The shortest Kubernetes form that is exactly this many bytes: "64G", "64Gi", "1500M".

        The API server returns the same form, so the two can be compared as text.
        """
        exact = (
            f"{self.count // size}{suffix}"
            for suffix, size in _QUANTITY_SUFFIXES.items()
            if self.count % size == 0
        )
        return min(exact, key=len)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A number of GPUs, and their model as written; None means any model."""

    count: int
    model: str | None = None

    @property
    def quantity(self) -> str:
        """The count in Kubernetes' form: "8"."""
        return str(self.count)

    @property
    def words(self) -> str:
        """The form for messages: "8x NVIDIA A100"."""
        return self.quantity if self.model is None else f"{self.count}x {self.model}"


_CPU: Final = Kind(
    re.compile(CPU_PATTERN),
    CPU_FORMS,
    {rf"({NUMBER}) *M": r'"M" is a million; for thousandths of a core write "\1m"'},
)
_MEMORY: Final = Kind(
    re.compile(MEMORY_PATTERN),
    MEMORY_FORMS,
    {rf"({NUMBER}) *m": r'"m" is a thousandth of a byte; for megabytes write "\1M" or "\1Mi"'},
)
_GPU: Final = Kind(
    re.compile(GPU_PATTERN),
    GPU_FORMS,
    {
        r"[0-9]+\.[0-9]+.*": "GPUs are given whole",
        r"(?:[0-9]+ *[Xx] *)?([0-9]+g\.[0-9]+gb.*)": r'write a slice with its word, as "1x MIG \1"',
        r"([0-9]+) *([A-Za-z][A-Za-z0-9._ -]*)": r'count and model have an "x" between them: "\1x \2"',
        r"[A-Za-z][A-Za-z._ -]*": r'a model without a digit needs a count before it, such as "1x \g<0>"',
    },
)


def parse_cpu(value: Word) -> Cpu | None:
    """Parse CPU; None for no request, which is "None" or 0.

    A plain number is cores. Amounts finer than a thousandth of a core are refused, as in Kubernetes.
    """
    if isinstance(value, str):
        return _cpu_of_text(value)
    return _cpu(_CPU.number(value, "cpu"), value)


@lru_cache(maxsize=1024)
def _cpu_of_text(text: str) -> Cpu | None:
    number, unit = _CPU.match(text, "cpu").groups()
    if number is None:
        return None
    return _cpu(Fraction(number) / (1000 if unit == "m" else 1), text)


def _cpu(cores: Fraction, written: Word) -> Cpu | None:
    if cores > MAX_CORES:
        raise _CPU.out_of_range("cpu", written, f"it is more than {MAX_CORES:,} cores")
    millicores = cores * 1000
    if millicores.denominator != 1:
        raise _CPU.out_of_range("cpu", written, 'it is finer than "1m", a thousandth of a core')
    return Cpu(int(millicores)) if millicores else None


def parse_memory(value: Word, *, what: str = "memory") -> Bytes | None:
    """Parse memory or storage; None for no request, which is "None" or 0.

    Units may be upper or lower case, except ``m``, which is a thousandth of a byte in Kubernetes and is
    refused. A plain number is bytes. A fraction that is not a whole number of bytes ("0.1Gi") is
    rounded up, as in Kubernetes. ``what`` names the amount in refusals: "memory", "storage".
    """
    if isinstance(value, str):
        return _bytes_of_text(value, what)
    return _bytes(_MEMORY.number(value, what), 1, value, what)


@lru_cache(maxsize=1024)
def _bytes_of_text(text: str, what: str) -> Bytes | None:
    plain, number, unit = _MEMORY.match(text, what).groups()
    if plain is not None:
        return _bytes(Fraction(plain), 1, text, what)
    if number is None:
        return None
    letters = unit.lower()
    size = 1 if letters.startswith("b") else _BYTE_UNITS[letters.removesuffix("b")]
    return _bytes(Fraction(number), size, text, what)


def _bytes(number: Fraction, size: int, written: Word, what: str) -> Bytes | None:
    if size == 1 and number.denominator != 1:
        why = "it is a number of bytes, which cannot be split: a unit such as GB may be missing"
        raise _MEMORY.out_of_range(what, written, why)
    count = math.ceil(number * size)
    if count > MAX_BYTES:
        raise _MEMORY.out_of_range(what, written, f"it is more than {Bytes(MAX_BYTES).quantity}")
    return Bytes(count) if count else None


def parse_gpu(value: Word) -> Gpu | None:
    """Parse GPUs; None for no request, which is "None" or 0.

    A model without a count means one. "GPU" and "GPUs" are not a model: "8 GPUs", "8x GPU" are 8 of any.
    """
    if isinstance(value, str):
        return _gpu_of_text(value)
    count = _GPU.number(value, "gpu")
    if count.denominator != 1:
        raise _GPU.out_of_range("gpu", value, "GPUs are given whole")
    return _gpu(int(count), None, value)


@lru_cache(maxsize=1024)
def _gpu_of_text(text: str) -> Gpu | None:
    count, counted_model, single_model = _GPU.match(text, "gpu").groups()
    if single_model is not None:
        return _gpu(1, single_model, text)
    return _gpu(int(count), counted_model, text) if count is not None else None


def _gpu(count: int, model: str | None, written: Word) -> Gpu | None:
    if count > MAX_GPUS:
        raise _GPU.out_of_range("gpu", written, f"it is more than {MAX_GPUS:,} GPUs")
    if model is not None:
        model = " ".join(model.split())
        if re.fullmatch(r"gpus?(?:[ -]+gpus?)*", model.lower()):
            model = None
    return Gpu(count, model) if count else None
