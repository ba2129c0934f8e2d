"""Matches a GPU model to the cluster's GPUs: "A100", "NVIDIA A100 80GB", "A100 MIG 1g.5gb".

GPU feature discovery labels nodes with ``nvidia.com/gpu.product``: a name of words joined by dashes,
with ``-SHARED`` at the end if GPUs are shared by time slicing. MIG slices are published in one of two
ways, depending on the node's configuration:

- strategy ``mixed``: the product is the whole GPU, and slices are a separate resource,
  ``nvidia.com/mig-1g.5gb``;
- strategy ``single``: the product ends with ``-MIG-1g.5gb``, slices are ``nvidia.com/gpu``.

https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.words import Gpu

_LEFT_OUT: Final = frozenset({"gpu", "gpus"})
_ONLY_IF_ASKED_FOR: Final = frozenset({"shared", "mig"})
_MIG: Final = "mig"
_PROFILE: Final = re.compile(r"(?:[0-9]+c\.)?[0-9]+g\.[0-9]+gb(?:\.[a-z]+)*")
"""A MIG profile: 1g.5gb; with an attribute, as in resource names, 1g.10gb.me."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A model that an administrator declares: its resource, and the labels of the nodes that have it."""

    model: str
    resource: str = names.GPU_RESOURCE
    node_selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The GPUs of a container: the resource, the count, and the labels of the nodes that have them.

    `products` is None for any node, and empty if no node has such a GPU.
    """

    count: int
    resource: str = names.GPU_RESOURCE
    products: tuple[str, ...] | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)


def wanted(gpu: Gpu, available: Collection[str], declared: Sequence[Declared] = ()) -> Wanted:
    """Resolve GPUs to a resource, and to those of the available products that match or to declared labels.

    Declared models come first, in their order. GPUs of any model are of the first one's resource.
    """
    asked = _words(gpu.model or "")
    if not asked:
        return Wanted(gpu.count, declared[0].resource) if declared else Wanted(gpu.count)
    entry = next((one for one in declared if _matches(asked, one.model)), None)
    if entry is not None and (entry.node_selector or entry.resource != names.GPU_RESOURCE):
        return Wanted(gpu.count, entry.resource, node_selector=entry.node_selector)
    if entry is not None:
        available = {*available, entry.model}  # a product that no node has yet
    profile = next((word for word in asked if _PROFILE.fullmatch(word)), None)
    matching = tuple(sorted(product for product in available if _matches(asked, product)))
    if profile is None or matching:
        return Wanted(gpu.count, products=matching)
    # Strategy mixed: the slice is a resource of nodes whose product is the whole GPU.
    resource = f"{names.MIG_RESOURCE_PREFIX}{profile}"
    whole = [word for word in asked if word not in (_MIG, profile)]
    if not whole:
        return Wanted(gpu.count, resource)
    return Wanted(
        gpu.count, resource, tuple(sorted(product for product in available if _matches(whole, product)))
    )


def model_matches(model: str, product: str) -> bool:
    """Whether a product is of a model: it contains the model's words, in order and ignoring case.

    ``NVIDIA A100 80GB`` matches ``NVIDIA-A100-SXM4-80GB``; ``L4`` does not match ``L40``. Shared products
    and MIG slices match only if the model says so.
    """
    asked = _words(model)
    return bool(asked) and _matches(asked, product)


def _matches(asked: list[str], product: str) -> bool:
    there = _words(product)
    named = {*asked, _MIG} if any(_PROFILE.fullmatch(word) for word in asked) else set(asked)
    if any(word in there and word not in named for word in _ONLY_IF_ASKED_FOR):
        return False
    rest = iter(there)
    return all(word in rest for word in asked)


def _words(name: str) -> list[str]:
    return [word for word in name.lower().replace("-", " ").split() if word not in _LEFT_OUT]
