"""The words people write for amounts: "16 cores", "64 GB", "8x NVIDIA A100", "2 hours".

Manifests and REST keep these words as written; whoever needs the amount parses it here, and the
schemas of both take their patterns from here, so that what one door lets in the other does too.

For each kind of word there is one parser, one ``*_PATTERN`` and one ``*_FORMS``, the sentence part
that names the accepted forms in refusals and schema descriptions. Plain numbers are accepted beside
strings. Pattern and parser agree: text outside the pattern is a `WordError`; text inside it parses,
unless its amount is out of bounds or it is longer than `WORD_MAX_LENGTH`, a `WordRangeError`.

The patterns are anchored and hold to what ECMA-262, RE2 (the Kubernetes API server) and Rust
(pydantic) read alike: ASCII classes, no look-around, no named groups, no flags.

Errors raised by every parser: `WordError`, and nothing else.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

Word = str | int | float

WORD_MAX_LENGTH: Final = 80
"""Characters; enough for a four-digit count and a model as long as a label value can be."""
MAX_CORES: Final = 100_000
MAX_BYTES: Final = 512 * 2**50
MAX_GPUS: Final = 1024
MAX_DURATION_SECONDS: Final = 365 * 24 * 3600
_MAX_MODEL_LENGTH: Final = 63  # that of a label value, which it is compared with

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_NONE: Final = "None|none|NONE"

CPU_PATTERN: Final = rf"^(?:{_NONE}|({_NUMBER})(?: *(m|[Cc]ores?|v?CPUs?|v?cpus?))?)$"
CPU_FORMS: Final = 'cores such as "16 cores", 16 or 0.5, thousandths of one such as "500m", or "None"'

MEMORY_PATTERN: Final = (
    rf"^(?:{_NONE}|({_NUMBER}(?:[eE]\+?[0-9]{{1,2}})?)"
    rf"|({_NUMBER}) *(B|[Bb]ytes?|[KkMGgTtPp]|[KkMmGgTtPp](?:[Ii][Bb]?|[Bb])))$"
)
MEMORY_FORMS: Final = (
    'an amount with its unit such as "64 GB", "1.5 GB" or "500M" (powers of 1000), '
    '"64Gi" or "64 GiB" (powers of 1024), a plain number of bytes, or "None"'
)

# A model without a count must have a digit in it: "no", "any" and the like would otherwise be
# models that no node ever has, and the step would wait for one.
_MODEL_REST: Final = "(?:[A-Za-z0-9._ -]*[A-Za-z0-9])?"
GPU_PATTERN: Final = (
    rf"^(?:{_NONE}|([0-9]+)(?: *(?:[Xx] *([A-Za-z]{_MODEL_REST})|GPUs?|gpus?))?"
    rf"|([A-Za-z][A-Za-z._ -]*[0-9]{_MODEL_REST}))$"
)
GPU_FORMS: Final = (
    'a count such as 8 or "8", a count and a model such as "8x NVIDIA A100", '
    'one of a model such as "NVIDIA A100", or "None"'
)

_TIME_UNIT: Final = (
    "(?:ms|[Mm]illiseconds?|[Ss](?:ec(?:ond)?s?)?|m|[Mm]in(?:ute)?s?"
    "|[Hh](?:ours?|rs?)?|[Dd](?:ays?)?|[Ww](?:eeks?)?)"
)
DURATION_PATTERN: Final = rf"^(?:{_NUMBER}|{_NUMBER} *{_TIME_UNIT}(?: *{_NUMBER} *{_TIME_UNIT})*)$"
DURATION_FORMS: Final = (
    '"2 hours", "30 seconds", "1 hour 30 minutes", "1h30m", "500ms", "7 days", or a plain number of seconds'
)
# A timeout of no time would end whatever it is for as soon as that starts.
_NONZERO: Final = r"(?:[0-9]*[1-9][0-9]*(?:\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)"
TIMEOUT_PATTERN: Final = (
    rf"^(?:{_NONZERO}|(?:{_NUMBER} *{_TIME_UNIT} *)*{_NONZERO} *{_TIME_UNIT}(?: *{_NUMBER} *{_TIME_UNIT})*)$"
)
TIMEOUT_FORMS: Final = f"{DURATION_FORMS}; more than 0"
MIN_TIMEOUT_SECONDS: Final = 0.001

_BYTE_UNITS: Final = {
    **{prefix: 1000**power for power, prefix in enumerate("kmgtp", start=1)},
    **{prefix + "i": 1024**power for power, prefix in enumerate("kmgtp", start=1)},
}
# In Kubernetes' own spelling 1000 is a small k and 1024 is Ki.
_QUANTITY_SUFFIXES: Final = {"": 1} | {
    unit if unit == "k" else unit.capitalize(): size for unit, size in _BYTE_UNITS.items()
}
_MILLISECONDS: Final = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1000),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000),
    **dict.fromkeys(("w", "week", "weeks"), 604_800_000),
}


class WordError(ValueError):
    """A word that is not understood; its message names it, what is wrong, and the accepted forms."""


class WordRangeError(WordError):
    """A word that is understood, but whose amount nothing could be given: too large, too fine."""


@dataclass(frozen=True, slots=True, order=True)
class Cpu:
    """Processor time asked for, in thousandths of a core, the finest that Kubernetes takes."""

    millicores: int

    @property
    def quantity(self) -> str:
        """Kubernetes' form: "16", "500m"."""
        cores, rest = divmod(self.millicores, 1000)
        return f"{self.millicores}m" if rest else str(cores)


@dataclass(frozen=True, slots=True, order=True)
class Bytes:
    """Memory or storage asked for, in bytes."""

    count: int

    @property
    def quantity(self) -> str:
        """The shortest Kubernetes form that is exactly this many bytes: "64G", "64Gi", "1500M".

        It is also the form the API server gives back, so that the two can be compared as text.
        """
        exact = (
            f"{self.count // size}{suffix}"
            for suffix, size in _QUANTITY_SUFFIXES.items()
            if self.count % size == 0
        )
        return min(exact, key=len)


@dataclass(frozen=True, slots=True)
class Gpu:
    """GPUs asked for: how many, and of which model, as written; None means any model."""

    count: int
    model: str | None = None

    @property
    def quantity(self) -> str:
        """The count in Kubernetes' form: "8"."""
        return str(self.count)

    @property
    def words(self) -> str:
        """As messages to people show it: "8x NVIDIA A100"."""
        return self.quantity if self.model is None else f"{self.count}x {self.model}"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the parsers of text have in common: how one kind of word is read, and how it is refused."""

    pattern: re.Pattern[str]
    forms: str
    mistakes: dict[str, str]
    """What people write by mistake, a pattern -> what is wrong with it, a template for `Match.expand`."""

    def match(self, text: str, what: str) -> re.Match[str]:
        if len(text) > WORD_MAX_LENGTH:
            raise self.out_of_range(what, text, f"it is longer than {WORD_MAX_LENGTH} characters")
        match = self.pattern.fullmatch(text)
        if match is None:
            raise WordError(self._sentence(what, text, self._why_not(text)))
        return match

    def number(self, value: object, what: str) -> Fraction:
        """A plain number; a float as its shortest decimal: 0.1 is a tenth, not its binary neighbour."""
        # `gpu: no` in YAML is a boolean, and a boolean in Python is an int.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WordError(self._sentence(what, value, "it is neither text nor a number"))
        if isinstance(value, float) and not math.isfinite(value):
            raise WordError(self._sentence(what, value, "it is not a finite number"))
        if value < 0:
            raise WordError(self._sentence(what, value, "it is negative"))
        return Fraction(value) if isinstance(value, int) else Fraction(repr(value))

    def out_of_range(self, what: str, written: Word, why: str) -> WordRangeError:
        return WordRangeError(self._sentence(what, written, why))

    def _why_not(self, text: str) -> str:
        for mistake, why in (_COMMON_MISTAKES | self.mistakes).items():
            if match := re.fullmatch(mistake, text, re.DOTALL):
                return match.expand(why)
        return "it is not understood"

    def _sentence(self, what: str, value: object, why: str) -> str:
        # Python refuses to print integers of more than 4,300 digits.
        huge = isinstance(value, int) and value.bit_length() > 64
        shown = "of more than 64 bits" if huge else repr(value)
        shown = shown if len(shown) <= WORD_MAX_LENGTH else f"{shown[:WORD_MAX_LENGTH]}..."
        return f"{what} {shown} cannot be used: {why}. Accepted: {self.forms}."


_COMMON_MISTAKES: Final = {
    r"\s*": "it is empty",
    r"\s.*|.*\s": "it begins or ends with a space",
    r"-.*": "it is negative",
    r".*,.*": "it has a comma in it; numbers take a point for decimals and nothing for thousands",
}
_CPU: Final = _Kind(
    re.compile(CPU_PATTERN),
    CPU_FORMS,
    {rf"({_NUMBER}) *M": r'"M" is a million; for thousandths of a core write "\1m"'},
)
_MEMORY: Final = _Kind(
    re.compile(MEMORY_PATTERN),
    MEMORY_FORMS,
    {rf"({_NUMBER}) *m": r'"m" is a thousandth of a byte; for megabytes write "\1M" or "\1Mi"'},
)
_GPU: Final = _Kind(
    re.compile(GPU_PATTERN),
    GPU_FORMS,
    {
        r"[0-9]+\.[0-9]+.*": "GPUs are given whole",
        r"(?:[0-9]+ *[Xx] *)?([0-9]+g\.[0-9]+gb.*)": r'write a slice with its word, as "1x MIG \1"',
        r"([0-9]+) *([A-Za-z][A-Za-z0-9._ -]*)": r'count and model have an "x" between them: "\1x \2"',
        r"[A-Za-z][A-Za-z._ -]*": r'a model without a digit needs a count before it, such as "1x \g<0>"',
    },
)
_DURATION: Final = _Kind(
    re.compile(DURATION_PATTERN),
    DURATION_FORMS,
    {
        ".*[0-9] *(?:M|[Mm]o|[Mm]onths?|[Yy]|[Yy]ears?)(?:[^A-Za-z].*)?": (
            'months and years differ in length; write days, and minutes as "m" or "minutes"'
        )
    },
)
_TIMEOUT: Final = _Kind(re.compile(TIMEOUT_PATTERN), TIMEOUT_FORMS, {})
_DURATION_PART: Final = re.compile(r"([0-9.]+) *([A-Za-z]+)")


def parse_cpu(value: Word) -> Cpu | None:
    """Processor time; None if nothing is asked for, which "None" and 0 both say.

    A plain number is cores. Finer than a thousandth of a core is refused, as Kubernetes does.
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
    """Memory or storage; None if nothing is asked for, which "None" and 0 both say.

    Units are taken in any case except a bare ``m``, which to Kubernetes is a thousandth of a byte
    and is refused. A plain number is bytes. A fraction of a unit that is no whole number of bytes
    ("0.1Gi") is rounded up to the next byte, as Kubernetes does. ``what`` is how refusals call the
    amount: "memory", "storage".
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
    """GPUs; None if none is asked for, which "None" and 0 both say.

    A model without a count is one of it. "GPU" and "GPUs" are no model: "8 GPUs", "8x GPU" are 8 of any.
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
        if len(model) > _MAX_MODEL_LENGTH:
            raise _GPU.out_of_range("gpu", written, f"a model has at most {_MAX_MODEL_LENGTH} characters")
        if re.fullmatch(r"gpus?(?:[ -]+gpus?)*", model.lower()):
            model = None
    return Gpu(count, model) if count else None


def parse_duration(value: Word, *, what: str = "duration") -> float:
    """A span of time in seconds, to the nearest millisecond; at most 365 days, never negative.

    A plain number is seconds. Parts add up, in any order, as in Go: "1h30m". A bare capital ``M``
    is refused, since it could be minutes or months. ``what`` is how refusals call the span:
    "timeout", "retryDelay".
    """
    if isinstance(value, str):
        return _seconds_of_text(value, what)
    return _seconds(_DURATION.number(value, what) * 1000, value, what)


@lru_cache(maxsize=1024)
def _seconds_of_text(text: str, what: str) -> float:
    _DURATION.match(text, what)
    parts = _DURATION_PART.findall(text) or [(text, "s")]
    total = sum(Fraction(number) * _MILLISECONDS[unit.lower()] for number, unit in parts)
    return _seconds(Fraction(total), text, what)


def _seconds(milliseconds: Fraction, written: Word, what: str) -> float:
    if milliseconds > MAX_DURATION_SECONDS * 1000:
        raise _DURATION.out_of_range(what, written, "it is more than 365 days")
    return round(milliseconds) / 1000


def parse_timeout(value: Word, *, what: str = "duration") -> float:
    """A span of time in seconds that is not zero; otherwise as `parse_duration`."""
    seconds = parse_duration(value, what=what)
    if seconds < MIN_TIMEOUT_SECONDS:
        raise _TIMEOUT.out_of_range(what, value, "it is no time at all; leave it out for the default")
    return seconds


def format_duration_words(seconds: float) -> str:
    """The word for a span of time: "2 hours", "1 hour 30 minutes"; negative counts as 0.

    Days begin at two, so that a day reads "24 hours", as people write timeouts.
    `parse_duration` gives the same span back, to the millisecond.
    """
    rest = max(0, round(seconds * 1000))
    words = []
    for unit in ("day", "hour", "minute", "second", "millisecond"):
        size = _MILLISECONDS[unit]
        if unit == "day" and rest < 2 * size:
            continue
        amount, rest = divmod(rest, size)
        if amount:
            words.append(f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s")
    return " ".join(words) or "0 seconds"


def clock_short(seconds: float) -> str:
    """A step's duration in a workflow: ``MM:SS``, ``H:MM:SS`` from an hour on; negative counts as 0."""
    hours, minutes, rest = _clock(seconds)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def clock_long(seconds: float) -> str:
    """An execution's duration: ``HH:MM:SS``, hours beyond 99 in full; negative counts as 0."""
    hours, minutes, rest = _clock(seconds)
    return f"{hours:02}:{minutes:02}:{rest:02}"


def _clock(seconds: float) -> tuple[int, int, int]:
    """Whole hours, minutes and seconds that have passed; clocks that disagree have passed none."""
    minutes, rest = divmod(max(0, math.floor(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return hours, minutes, rest
