"""Kopf, imported without the official Kubernetes client.

If that client is installed, Kopf imports it to recognize its classes among owners and children. The operator
passes none of them, and the client takes 8 MB of its memory. It stays installed for kubeconfigs that only it
can read (`nightcrawler_crds.kube.officialclient`), and can be imported after this.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_CLIENT: Final = "kubernetes"

_modules: dict[str, Any] = sys.modules
if _CLIENT in _modules:
    import kopf
else:
    _modules[_CLIENT] = None  # an import of it raises ModuleNotFoundError, as if it were not installed
    try:
        import kopf
    finally:
        del _modules[_CLIENT]

__all__ = ["kopf"]
