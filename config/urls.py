"""A server's URL: whether it is valid (a typo must not lead to another server, or turn TLS off), and its host. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

from pydantic import SecretStr

_HOST = r"(?:[\w.%-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?"
_REST = r"://(?:[^@/?#\s]*@)?{hosts}(?P<path>/[^?#\s]*)?(?:\?[^#\s]*)?"
_MONGO = re.compile(r"mongodb(?:\+srv)?" + _REST.format(hosts=rf"{_HOST}(?:,{_HOST})*"))
_REDIS = re.compile(r"rediss?" + _REST.format(hosts=_HOST))
_REDIS_SOCKET = re.compile(r"unix://(?:[^@/?#\s]*@)?/[^?#\s]+(?:\?[^#\s]*)?")
_HINT = (
    "; in user and password the characters @ : / ? # % are written as %40 %3A %2F %3F %23 %25 "
    "(unset it altogether to use the embedded server)"
)


def check_mongo(url: SecretStr) -> SecretStr:
    """The URL unchanged. Raises ValueError, which does not quote it, if it is not a MongoDB address."""
    match = _MONGO.fullmatch(url.get_secret_value())
    if match is None or not _ports_exist(match):
        raise ValueError(
            "a URL such as mongodb://user:password@host:27017/?tls=true or mongodb+srv://user:password@cluster" + _HINT
        )
    return url


def check_redis(url: SecretStr) -> SecretStr:
    """The URL unchanged. Raises ValueError, which does not quote it, if it is not a Redis address."""
    if _REDIS_SOCKET.fullmatch(url.get_secret_value()):
        return url
    match = _REDIS.fullmatch(url.get_secret_value())
    # redis-py takes a path that is not a number for database 0.
    if match is None or not _ports_exist(match) or not re.fullmatch(r"/?|/\d{1,4}", match["path"] or ""):
        raise ValueError(
            "a URL such as redis://:password@host:6379/0 or, for TLS, rediss://:password@host:6379/0, with the "
            "number of a database as its path, or unix://:password@/path/of/its.sock?db=0" + _HINT
        )
    return url


def check_ports(ports: str) -> str:
    """`first-last` unchanged. Raises ValueError if it is not a range of ports."""
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", ports)
    if match is None or not 0 < int(match[1]) <= int(match[2]) < 65536:
        raise ValueError("two ports, the first and the last, such as 27500-27599")
    return ports


def address(url: SecretStr) -> str:
    """Host and port, or the socket, of a server's URL, without the user, the password and the options."""
    scheme, _, rest = url.get_secret_value().rpartition("://")
    where = rest.rpartition("@")[2].partition("?")[0]
    return unquote(where if scheme == "unix" else where.partition("/")[0]) or "(no host)"


def _ports_exist(match: re.Match[str]) -> bool:
    ports = re.findall(r":(\d{1,5})(?=[,/?]|$)", match[0].rpartition("@")[2])
    return all(0 < int(port) < 65536 for port in ports)
