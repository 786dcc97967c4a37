"""From where the page can be reached, and by which names. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from nightjar.config.errors import UsageError
from nightjar.web.gate import GateRules

_ROOT = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def decide_reach(
    host: str,
    port: int,
    *,
    users: bool,
    encrypted: bool,
    behind_proxy: bool,
    names: Sequence[str],
    own_name: str,
    root: str = "",
) -> GateRules:
    """By which names the server answers. Raises UsageError where it would be open to others without protection.

    `root`: the path below which a proxy has us.
    `names`: as given by --allow-host, with a port where browsers see another. `own_name`: one that only resolves here.
    """
    if root and not _ROOT.fullmatch(root):
        raise UsageError(f"--root-path is {root!r}; it is a path such as /nightjar, without a slash at its end.")
    if behind_proxy and not names:
        raise UsageError("--behind-proxy needs the name that browsers use: --allow-host nightjar.example.org.")
    if not is_loopback(host) or behind_proxy:
        _check_protected(host, users=users, encrypted=encrypted, behind_proxy=behind_proxy, names=names)
    scheme = "https" if encrypted or behind_proxy else "http"
    named = {_with_port(name.lower(), 443 if behind_proxy else port) for name in names}
    named |= {name.removesuffix(":443") for name in named}  # of https alone: others are only reached from here
    if behind_proxy:
        return GateRules(hosts=frozenset(named), scheme=scheme, behind_proxy=True, root=root)
    here = GateRules.loopback(port, own_name).hosts if is_loopback(host) else frozenset()
    return GateRules(hosts=here | named, scheme=scheme, root=root)


def _check_protected(host: str, *, users: bool, encrypted: bool, behind_proxy: bool, names: Sequence[str]) -> None:
    if not users:
        raise UsageError(
            f"Others could reach {host}, and nobody has a password yet. Add a user first: "
            "`nightjar user add NAME --role admin`."
        )
    if not encrypted and not behind_proxy:
        raise UsageError(
            f"Others could reach {host} and read passwords on the way. Give --tls-cert and --tls-key, or put a proxy "
            "before it that speaks TLS: --behind-proxy --allow-host NAME."
        )
    if not names:
        raise UsageError(f"Say by which name browsers reach {host}: --allow-host nightjar.example.org.")


def _with_port(name: str, port: int) -> str:
    """What a browser says in the Host header; without its port where that is the scheme's own."""
    return name if ":" in name.rpartition("]")[2] else f"{name}:{port}"
