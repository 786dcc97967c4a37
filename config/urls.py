"""Whether the address of a server is one: a slip in it must not end up as another server, or as no TLS. Pure."""

from __future__ import annotations

import re

from pydantic import SecretStr

_HOST = r"(?:[\w.%-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?"
_REST = r"://(?:[^@/?#\s]*@)?{hosts}(?P<path>/[^?#\s]*)?(?:\?[^#\s]*)?"
_MONGO = re.compile(r"mongodb(?:\+srv)?" + _REST.format(hosts=rf"{_HOST}(?:,{_HOST})*"))
_REDIS = re.compile(r"rediss?" + _REST.format(hosts=_HOST))
_HINT = (
    "; in user and password the characters @ : / ? # % are written as %40 %3A %2F %3F %23 %25 "
    "(unset it altogether to use the embedded server)"
)


def check_mongo(url: SecretStr) -> SecretStr:
    """The URL unchanged. Raises ValueError, without a word of it, for what is no MongoDB address."""
    found = _MONGO.fullmatch(url.get_secret_value())
    if found is None or not _ports_exist(found):
        raise ValueError(
            "a URL such as mongodb://user:password@host:27017/?tls=true or mongodb+srv://user:password@cluster" + _HINT
        )
    return url


def check_redis(url: SecretStr) -> SecretStr:
    """The URL unchanged. Raises ValueError, without a word of it, for what is no Redis address."""
    found = _REDIS.fullmatch(url.get_secret_value())
    # redis-py takes a path that is no number for database 0.
    if found is None or not _ports_exist(found) or not re.fullmatch(r"/?|/\d{1,4}", found["path"] or ""):
        raise ValueError(
            "a URL such as redis://:password@host:6379/0 or, for TLS, rediss://:password@host:6379/0, its path the "
            "number of a database" + _HINT
        )
    return url


def check_ports(ports: str) -> str:
    """`first-last` unchanged. Raises ValueError for what is no range of ports."""
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", ports)
    if found is None or not 0 < int(found[1]) <= int(found[2]) < 65536:
        raise ValueError("two ports, the first and the last, such as 27500-27599")
    return ports


def _ports_exist(found: re.Match[str]) -> bool:
    ports = re.findall(r":(\d{1,5})(?=[,/?]|$)", found[0].rpartition("@")[2])
    return all(0 < int(port) < 65536 for port in ports)
