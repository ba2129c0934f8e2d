"""Who may talk to the cluster: tokens, and the kubeconfigs that carry them.

Users are tokens in a file that the API server reads when it starts. The
cluster's own parts have theirs, with the names and groups to which Kubernetes
grants their rights by default.
"""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

ADMIN = "admin"
OPERATOR = "nightcrawler-operator"
NODE_NAME = "local-node"
PARTS: Mapping[str, Sequence[str]] = {
    ADMIN: ("system:masters",),
    # Its default role would do with an account for each controller; making those takes four seconds.
    "system:kube-controller-manager": ("system:masters",),
    "system:kube-scheduler": (),
    "system:kube-proxy": (),
    f"system:node:{NODE_NAME}": ("system:nodes",),
    # It writes Nodes, Leases and Pod status of nodes that are not its own; no default role allows that.
    "kwok": ("system:masters",),
    # It reads kubelets, and reviews who asks it.
    "metrics-server": ("system:masters",),
    # It creates PersistentVolumes, and Pods that make their folders.
    "local-path-provisioner": ("system:masters",),
}


def new_tokens(users: Mapping[str, Sequence[str]], file: Path) -> dict[str, str]:
    """Make a token for each user and write the API server's token file.

    Args:
        users: Groups of each user besides `PARTS`.
        file: The file, in the form of `--token-auth-file`.

    Returns:
        The token of each user, `PARTS` included.
    """
    everybody = {**users, **PARTS}
    tokens = {user: secrets.token_urlsafe(24) for user in everybody}
    file.touch(mode=0o600)
    lines = [f'{token},{user},{user},"{",".join(everybody[user])}"\n' for user, token in tokens.items()]
    file.write_text("".join(lines))
    return tokens


def write_kubeconfig(file: Path, *, server: str, authority: Path, user: str, token: str) -> None:
    """Write a kubeconfig for one user; being JSON, it is YAML too.

    Args:
        file: Where to; made readable to its owner alone.
        server: The API server's URL.
        authority: The certificate that signed the server's.
        user: The user's name, kept for readers.
        token: The user's token.
    """
    name = "nightcrawler"
    trusted = base64.b64encode(authority.read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": trusted}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(content, indent=2) + "\n")
