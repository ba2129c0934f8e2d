"""Security contexts, up to the baseline level of Kubernetes' Pod Security Standards.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ has the lists of values. Anything
beyond needs `Power.PRIVILEGED`.
"""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds.validation.podtemplate.forms import SOME
from nightcrawler_crds.validation.podtemplate.grammar import (
    FLAG,
    TEXT,
    Choice,
    Flag,
    ListOf,
    Number,
    Object,
)
from nightcrawler_crds.validation.podtemplate.policy import Power

_CAPABILITIES: Final = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
_SYSCTLS: Final = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
)
_SELINUX_TYPES: Final = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")

_USER: Final = Number(most=2**31 - 1)
_PROFILE: Final = Object(
    {
        "type": Choice(("RuntimeDefault", "Localhost"), guarded={"Unconfined": Power.PRIVILEGED}),
        "localhostProfile": SOME,
    },
    required=("type",),
)
_DROPPED: Final = "older Kubernetes drops it silently"
_DOMAIN_ACCOUNT: Final = "accounts of a Windows domain are not supported: leave it out"

_POD_OR_CONTAINER: Final[dict[str, Any]] = {
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "runAsNonRoot": FLAG,
    "seccompProfile": _PROFILE,
    "appArmorProfile": _PROFILE,
    "seLinuxOptions": Object(
        {
            "type": Choice(_SELINUX_TYPES, others=Power.PRIVILEGED),
            "level": TEXT,
            "user": Choice(("",), others=Power.PRIVILEGED),
            "role": Choice(("",), others=Power.PRIVILEGED),
        }
    ),
    "windowsOptions": Object(
        {"runAsUserName": SOME, "hostProcess": Flag(Power.PRIVILEGED)},
        refused={"gmsaCredentialSpec": _DOMAIN_ACCOUNT, "gmsaCredentialSpecName": _DOMAIN_ACCOUNT},
    ),
}

POD_SECURITY_CONTEXT: Final = Object(
    {
        **_POD_OR_CONTAINER,
        "fsGroup": _USER,
        "fsGroupChangePolicy": Choice(("Always", "OnRootMismatch")),
        "supplementalGroups": ListOf(_USER),
        "sysctls": ListOf(
            Object(
                {"name": Choice(_SYSCTLS, others=Power.PRIVILEGED), "value": TEXT}, required=("name", "value")
            ),
            key={"name": None},
        ),
    },
    refused={
        "supplementalGroupsPolicy": f"{_DROPPED}: use supplementalGroups",
        "seLinuxChangePolicy": f"{_DROPPED}: leave it out",
    },
)

SECURITY_CONTEXT: Final = Object(
    {
        **_POD_OR_CONTAINER,
        "allowPrivilegeEscalation": FLAG,
        "capabilities": Object(
            {"add": ListOf(Choice(_CAPABILITIES, others=Power.PRIVILEGED)), "drop": ListOf(SOME)}
        ),
        "privileged": Flag(Power.PRIVILEGED),
        "procMount": Choice(("Default",), guarded={"Unmasked": Power.PRIVILEGED}),
        "readOnlyRootFilesystem": FLAG,
    }
)
