"""The words people write for amounts: "16 cores", "64 GB", "8x NVIDIA A100", "2 hours".

Manifests and REST keep these words as written. Code that needs the amount parses it with this package,
and the schemas of both take their patterns from here, so both accept the same words.

Each kind of word has one parser, one ``*_PATTERN`` and one ``*_FORMS``, the part of a sentence that
lists the accepted forms in refusals and schema descriptions. Plain numbers are accepted as well as
strings. Pattern and parser agree: text that does not match the pattern is a `WordError`; text that
matches is parsed, unless the amount is out of bounds or the text is longer than `WORD_MAX_LENGTH`,
which is a `WordRangeError`.

The patterns are anchored and use only what ECMA-262, RE2 (the Kubernetes API server) and Rust
(pydantic) read alike: ASCII classes, no look-around, no named groups, no flags.

Parsers raise `WordError` and nothing else.
"""

from nightcrawler_crds.words.amounts import (
    CPU_FORMS,
    CPU_PATTERN,
    GPU_FORMS,
    GPU_PATTERN,
    MAX_BYTES,
    MAX_CORES,
    MAX_GPUS,
    MEMORY_FORMS,
    MEMORY_PATTERN,
    Bytes,
    Cpu,
    Gpu,
    parse_cpu,
    parse_gpu,
    parse_memory,
)
from nightcrawler_crds.words.durations import (
    DURATION_FORMS,
    DURATION_PATTERN,
    MAX_DURATION_SECONDS,
    MIN_TIMEOUT_SECONDS,
    TIMEOUT_FORMS,
    TIMEOUT_PATTERN,
    clock_long,
    clock_short,
    format_duration_words,
    parse_duration,
    parse_timeout,
)
from nightcrawler_crds.words.grammar import WORD_MAX_LENGTH, Word, WordError, WordRangeError

__all__ = [
    "CPU_FORMS",
    "CPU_PATTERN",
    "DURATION_FORMS",
    "DURATION_PATTERN",
    "GPU_FORMS",
    "GPU_PATTERN",
    "MAX_BYTES",
    "MAX_CORES",
    "MAX_DURATION_SECONDS",
    "MAX_GPUS",
    "MEMORY_FORMS",
    "MEMORY_PATTERN",
    "MIN_TIMEOUT_SECONDS",
    "TIMEOUT_FORMS",
    "TIMEOUT_PATTERN",
    "WORD_MAX_LENGTH",
    "Bytes",
    "Cpu",
    "Gpu",
    "Word",
    "WordError",
    "WordRangeError",
    "clock_long",
    "clock_short",
    "format_duration_words",
    "parse_cpu",
    "parse_duration",
    "parse_gpu",
    "parse_memory",
    "parse_timeout",
]
