"""By which names the server answers, and when it refuses to be reached at all."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.web.reach import decide_reach, is_loopback

ALONE: dict[str, Any] = {
    "users": False,
    "encrypted": False,
    "behind_proxy": False,
    "names": [],
    "own_name": "n.localhost",
}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.5", "nightjar.example")),
    ],
)
def test_which_addresses_are_this_machines_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_on_this_machine_nothing_is_needed() -> None:
    rules = decide_reach("127.0.0.1", 8420, **ALONE)
    assert rules.hosts == {"127.0.0.1:8420", "localhost:8420", "[::1]:8420", "n.localhost:8420"}
    assert rules.scheme == "http"


@pytest.mark.parametrize(
    ("host", "changes", "missing"),
    [
        ("0.0.0.0", {}, "nightjar user add"),
        ("0.0.0.0", {"users": True}, "--tls-cert"),
        ("0.0.0.0", {"users": True, "encrypted": True}, "--allow-host"),
        ("0.0.0.0", {"encrypted": True, "names": ["a.example"]}, "nightjar user add"),
        ("127.0.0.1", {"behind_proxy": True, "names": ["a.example"]}, "nightjar user add"),  # the proxy lets others in
        ("127.0.0.1", {"behind_proxy": True, "users": True}, "--allow-host"),
    ],
)
def test_beyond_it_is_refused_without_protection(host: str, changes: dict[str, Any], missing: str) -> None:
    with pytest.raises(UsageError, match=missing):
        decide_reach(host, 8420, **(ALONE | changes))


def test_beyond_it_with_a_user_and_tls() -> None:
    rules = decide_reach("0.0.0.0", 8420, **(ALONE | {"users": True, "encrypted": True, "names": ["A.example"]}))
    assert rules.hosts == {"a.example:8420"}
    assert rules.scheme == "https"
    assert not rules.behind_proxy


def test_behind_a_proxy_the_browsers_port_counts() -> None:
    asked = ALONE | {"users": True, "behind_proxy": True, "names": ["a.example", "b.example:8443"]}
    rules = decide_reach("127.0.0.1", 8420, **asked)
    assert rules.hosts == {"a.example", "a.example:443", "b.example:8443"}
    assert (rules.scheme, rules.behind_proxy) == ("https", True)
