"""The base of all models of the custom resources, and the types of words in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from nightcrawler_crds import words

LATER: Final = " Accepted, kept and shown; takes effect in a later release."
"""The end of the description of a field that has no effect yet."""

TIME: Final[dict[str, Any]] = {"format": "date-time"}
"""The JSON-schema extra of a time, as Kubernetes writes it: 2025-07-10T14:45:00Z."""

SERVER_DEFAULT: Final[dict[str, Any]] = {"x-nightcrawler-server-default": True}
"""The JSON-schema extra of a field whose default the API server writes into objects.

All other fields have no default, so that unset fields can be distinguished from set ones.
"""

WORD_FORMS: Final = "x-nightcrawler-forms"
"""The JSON-schema extra of a word's type: the part of a sentence that lists its accepted forms."""


class ApiModel(BaseModel):
    """A part of a custom resource: camelCase on the wire, unknown fields refused, immutable.

    To read objects of an older or newer version, pass `extra="ignore"` to `model_validate`.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )


def rule(expression: str, message: str, *, about: str = "") -> dict[str, Any]:
    """The JSON-schema extra of one CEL rule, with the message for objects that violate it.

    `about` is the field below this one, as on the wire, that the error should name.
    """
    written = {"rule": expression, "message": message}
    if about:
        written["fieldPath"] = f".{about}"
    return {"x-kubernetes-validations": [written]}


def list_map(key: str) -> dict[str, Any]:
    """The JSON-schema extra of a list whose items are identified by one field."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def _word(parse: Callable[[Any], object], pattern: str, forms: str, **number: float) -> Any:
    """The metadata of a word's type: kept as written, validated by its parser.

    `number` has the JSON-schema bounds of a plain number.
    """

    def check(value: Any) -> Any:
        parse(value)
        return value

    schema = {
        "anyOf": [
            {"type": "number", "minimum": 0, **number},
            {"type": "string", "pattern": pattern, "maxLength": words.WORD_MAX_LENGTH},
        ],
        "description": forms,
        WORD_FORMS: forms,
    }
    return AfterValidator(check), WithJsonSchema(schema)


_Amount = int | float | str
_cpu = _word(words.parse_cpu, words.CPU_PATTERN, words.CPU_FORMS, maximum=words.MAX_CORES)
_memory = _word(
    words.parse_memory, words.MEMORY_PATTERN, words.MEMORY_FORMS, maximum=words.MAX_BYTES, multipleOf=1
)
_gpu = _word(words.parse_gpu, words.GPU_PATTERN, words.GPU_FORMS, maximum=words.MAX_GPUS, multipleOf=1)
_duration = _word(
    words.parse_duration, words.DURATION_PATTERN, words.DURATION_FORMS, maximum=words.MAX_DURATION_SECONDS
)
_timeout = _word(
    words.parse_timeout,
    words.TIMEOUT_PATTERN,
    words.TIMEOUT_FORMS,
    minimum=words.MIN_TIMEOUT_SECONDS,
    maximum=words.MAX_DURATION_SECONDS,
)

Cpu = Annotated[_Amount, _cpu[0], _cpu[1]]
Memory = Annotated[_Amount, _memory[0], _memory[1]]
Gpu = Annotated[_Amount, _gpu[0], _gpu[1]]
Duration = Annotated[_Amount, _duration[0], _duration[1]]
Timeout = Annotated[_Amount, _timeout[0], _timeout[1]]
"""A duration that is not zero."""

FreeForm = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
"""An object with Kubernetes' own fields, which are not in the schema."""

AnyJson = Annotated[Any, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
"""Any JSON value at all."""

MaxRunning = Annotated[int, Field(ge=1, le=1_000_000)]
"""How many runs may be under way at the same time."""

Retries = Annotated[int, Field(ge=0, le=100)]

NodeSelector = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)]
"""Labels and the values that a node must have."""


class EnvVar(ApiModel):
    """An environment variable of a container, as in Kubernetes."""

    model_config = ConfigDict(
        json_schema_extra=rule(
            "!has(self.valueFrom) || !has(self.value) || self.value == ''",
            "a variable has either value or valueFrom; leave one of them out",
        )
    )

    name: str = Field(
        min_length=1,
        max_length=256,
        pattern="^[ -<>-~]+$",
        description="Name of the variable: printable ASCII characters other than =.",
    )
    value: str | None = Field(
        default=None, max_length=131072, description="Value; $(OTHER) is replaced by an earlier variable."
    )
    value_from: FreeForm | None = Field(
        default=None, description="Source of the value, such as secretKeyRef or configMapKeyRef."
    )


class Condition(ApiModel):
    """A condition, as in Kubernetes."""

    type: str = Field(max_length=64, description="Type of the condition.")
    status: str = Field(pattern="^(True|False|Unknown)$", description="True, False or Unknown.")
    reason: str = Field(max_length=128, description="Reason for the status, in one word.")
    message: str = Field(default="", max_length=32768, description="The reason in a sentence.")
    last_transition_time: str | None = Field(
        default=None,
        description="When the status last changed.",
        json_schema_extra=TIME,
    )
    observed_generation: int | None = Field(
        default=None, description="The metadata.generation that the condition was set for."
    )
