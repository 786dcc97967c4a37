"""A local server that speaks the model hub's API, with faults, for the real huggingface_hub client to talk to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEXT_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"


@dataclass
class Repository:
    files: dict[str, bytes]
    commit: str = COMMIT
    branches: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    gated: bool = False
    """Files need the right token; the listing is public, as on the hub."""
    licence: str = "apache-2.0"
    claimed_bytes: int | None = None
    """A wrong size that the listing gives for model files."""
    claimed_sha256: Any = None
    """Likewise a wrong digest; "": none at all."""
    claimed_commit: Any = None
    """What the listing gives as the commit."""
    endless: bool = False
    """Files are sent with more bytes than promised, and no length."""


@dataclass
class Faults:
    """What goes wrong. Counters go down by one each time; -1: always."""

    cut_after: int | None = None
    """Bytes of a body after which the connection is closed."""
    cuts: int = 0
    stall_after: int | None = None
    """Bytes of a body after which nothing more is sent until `LocalHub.go_on` is set."""
    short_by: int = 0
    """Bytes missing from an otherwise valid answer: Content-Length matches the short body."""
    corrupt: bool = False
    """One byte of the body is changed."""
    status: int | None = None
    """Answered instead of a file or a listing."""
    statuses: int = 0
    ignore_range: bool = False
    """Range requests get 200 and the whole file."""


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    host: str
    authorization: str | None
    range: str | None


class LocalHub:
    """The server. `endpoint` is for HF_ENDPOINT; files are served from another host name, as the hub's CDN is."""

    token = "hf_local_test_token"

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.faults = Faults()
        self.seen: list[Seen] = []
        self.go_on = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.hub = self  # type: ignore[attr-defined]
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        """Where files are redirected to: the same server under another name."""
        return f"http://localhost:{self.port}"

    def downloads(self) -> list[Seen]:
        """The requests for file contents."""
        return [seen for seen in self.seen if seen.method == "GET" and seen.path.startswith("/storage/")]

    @contextmanager
    def running(self) -> Iterator[LocalHub]:
        self._thread.start()
        try:
            yield self
        finally:
            self.go_on.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> LocalHub:
        hub: LocalHub = self.server.hub  # type: ignore[attr-defined]
        return hub

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        headers = self.headers
        self.hub.seen.append(
            Seen(self.command, self.path, headers["Host"], headers.get("Authorization"), headers.get("Range"))
        )
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if self._status_fault():
            return
        if parts[0] == "datasets":  # files of data sets; the rest is as for models
            parts = parts[1:]
        if parts[:2] in (["api", "models"], ["api", "datasets"]):
            self._api(parts[2:])
        elif parts[0] == "storage":
            self._storage("/".join(parts[1:3]), "/".join(parts[3:]))
        elif len(parts) > 4 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._error(404, "RepoNotFound")

    def _status_fault(self) -> bool:
        faults = self.hub.faults
        if faults.status is None or faults.statuses == 0 or self.path.startswith("/storage/"):
            return False
        faults.statuses -= 1
        self._send(faults.status, b"", {"Retry-After": "0"} if faults.status == 429 else {})
        return True

    def _api(self, parts: list[str]) -> None:
        if not parts:
            self._json(self._search())
            return
        name = "/".join(parts[:2])
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._error(401 if not self._authorised() else 404, "RepoNotFound")
        elif parts[2:] == ["refs"]:
            branches = [
                {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": commit}
                for branch, commit in repository.branches.items()
            ]
            self._json({"branches": branches, "tags": [], "converts": []})
        else:
            revision = parts[3] if parts[2:3] == ["revision"] else "main"
            commit = self._commit(repository, revision)
            if commit is None:
                self._error(404, "RevisionNotFound")
            else:
                self._json(_info(name, repository, commit))

    def _search(self) -> list[dict[str, Any]]:
        asked = parse_qs(urlsplit(self.path).query)
        author, search = asked.get("author", [""])[0], asked.get("search", [""])[0].lower()
        return [
            {"id": name, "modelId": name}
            for name in self.hub.repositories
            if (author and name.startswith(f"{author}/")) or (search and search in name.lower())
        ]

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repository = self.hub.repositories.get(name)
        commit = self._commit(repository, revision) if repository else None
        if repository is None or commit is None:
            self._error(404, "RepoNotFound" if repository is None else "RevisionNotFound")
        elif repository.gated and not self._authorised():
            self._error(401, "GatedRepo")
        elif file not in repository.files:
            self._error(404, "EntryNotFound")
        else:
            content = repository.files[file]
            headers = {
                "Location": f"{self.hub.storage}/storage/{name}/{file}",
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Linked-Size": str(len(content)),
            }
            self._send(302, b"", headers)

    def _storage(self, name: str, file: str) -> None:
        faults = self.hub.faults
        content = self.hub.repositories[name].files[file]
        if self.hub.repositories[name].endless:
            self._send_endless(content)
            return
        if faults.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and not faults.ignore_range else 0
        status = 206 if start else 200
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        body = content[start : len(content) - faults.short_by]
        if faults.cut_after is not None and faults.cuts != 0:
            faults.cuts -= 1
            self._break(status, body, headers, faults.cut_after, stall=False)
        elif faults.stall_after is not None:
            self._break(status, body, headers, faults.stall_after, stall=True)
        else:
            self._send(status, body, headers)

    def _break(self, status: int, body: bytes, headers: dict[str, str], after: int, *, stall: bool) -> None:
        """Promises the whole body but sends only its beginning."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:after])
        self.wfile.flush()
        if stall:
            self.hub.go_on.wait(60)
        self.close_connection = True

    def _send_endless(self, content: bytes) -> None:
        """The content again and again, until the other side has enough or 64 MB are sent."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for _ in range(64 * 10**6 // len(content)):
            try:
                self.wfile.write(content)
            except OSError:
                return

    def _commit(self, repository: Repository, revision: str) -> str | None:
        if revision in repository.branches.values():
            return revision
        return repository.branches.get(revision)

    def _authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _json(self, data: Any) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _info(name: str, repository: Repository, commit: str) -> dict[str, Any]:
    """A repository as `GET /api/models/NAME?blobs=true` describes it."""
    siblings = []
    for file, content in repository.files.items():
        digest = hashlib.sha256(content).hexdigest()
        sibling: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": digest[:40]}
        if file.endswith((".gguf", ".parquet", ".onnx")):
            sibling["size"] = repository.claimed_bytes or len(content)
            claimed = digest if repository.claimed_sha256 is None else repository.claimed_sha256
            if claimed != "":
                sibling["lfs"] = {"sha256": claimed, "size": len(content), "pointerSize": 134}
        siblings.append(sibling)
    return {
        "_id": "1",
        "id": name,
        "modelId": name,
        "sha": commit if repository.claimed_commit is None else repository.claimed_commit,
        "private": False,
        "gated": "auto" if repository.gated else False,
        "downloads": 1,
        "likes": 0,
        "tags": [],
        "createdAt": "2026-01-01T00:00:00.000Z",
        "siblings": siblings,
        "cardData": {"license": repository.licence},
    }
