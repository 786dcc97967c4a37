"""The model hub through huggingface_hub: what a repository holds, and its files, resumed and checked.

`hf_hub_download` throws an unfinished file away and keeps a cache in the home folder. Files are therefore fetched with
the library's `http_get`, which resumes, into a part beside the model, and named only when their SHA-256 is right.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from nightjar.config.errors import HubError
from nightjar.config.files import make_folder
from nightjar.workers.library.digests import sha256
from nightjar.workers.library.hub_answers import REPO, REVISION, checked_commit, checked_file, safe_licence, safe_names
from nightjar.workers.library.hub_errors import HubQuestion, is_passing, translated
from nightjar.workers.library.partial import CACHE
from nightjar.workers.library.quants import RemoteFile

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

_log = structlog.get_logger()
_TIMEOUT_S = 20.0
RepoKind = Literal["model", "dataset"]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A repository at one commit."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]
    kind: RepoKind = "model"
    licence: str | None = None
    """As the repository's card names it; None if it names none."""


class Hub:
    """A hub's endpoint and token, both from the settings. Every method may raise HubError or UnknownNameError."""

    def __init__(self, settings: Settings) -> None:
        if settings.offline:
            raise HubError("NIGHTJAR_OFFLINE is set, so that the hub is not asked. Unset it to fetch models.")
        _prepare(settings.home)
        from huggingface_hub import HfApi

        self.endpoint = (settings.hf_endpoint or "https://huggingface.co").rstrip("/")
        self._token: str | bool = settings.hf_token.get_secret_value() if settings.hf_token else False
        self._api = HfApi(endpoint=self.endpoint, token=self._token, library_name="nightjar")
        if self._token and not self.endpoint.startswith("https://"):
            _say_unencrypted(self.endpoint)

    @property
    def has_token(self) -> bool:
        """Whether the settings name a token, with which the hub knows who asks."""
        return bool(self._token)

    def listing(self, repo: str, revision: str | None, kind: RepoKind = "model") -> Listing:
        """Files and commit of a repository; None as `revision` means its default branch."""
        ask = self._api.dataset_info if kind == "dataset" else self._api.model_info
        with self._errors(repo, revision=revision):
            info = self._patient(lambda: ask(repo, revision=revision, files_metadata=True, timeout=_TIMEOUT_S))
        files = tuple(
            checked_file(repo, item.rfilename, item.size, item.lfs.sha256 if item.lfs else None)
            for item in info.siblings or []
        )
        licence = safe_licence(info.card_data.get("license") if info.card_data else None)
        return Listing(repo=repo, commit=checked_commit(repo, info.sha), files=files, kind=kind, licence=licence)

    def search(self, text: str, limit: int) -> list[str]:
        """Repositories with GGUF files whose name has the text, the most fetched first."""
        with self._errors(text):
            found = self._patient(
                lambda: list(self._api.list_models(search=text, filter="gguf", sort="downloads", limit=limit))
            )
        return safe_names((model.id for model in found), REPO)

    def fetch(self, listing: Listing, file: RemoteFile, folder: Path, advance: Callable[[int], None]) -> Path:
        """Downloads the file as a part in `folder`, complete and checked; resumes what an earlier call left there.

        `advance` gets the number of bytes received.
        """
        part = part_of(folder, file)
        if part.exists() and part.stat().st_size > file.bytes:
            part.unlink()
        have = part.stat().st_size if part.exists() else 0
        advance(have)
        if have < file.bytes or not part.exists():
            self._download(listing, file, part, have, advance)
        _check(listing.repo, file, part)
        return part

    def _download(
        self, listing: Listing, file: RemoteFile, part: Path, have: int, advance: Callable[[int], None]
    ) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import get_hf_file_metadata, http_get
        from huggingface_hub.utils._headers import build_hf_headers

        url = hf_hub_url(
            listing.repo, file.name, repo_type=listing.kind, revision=listing.commit, endpoint=self.endpoint
        )
        headers = build_hf_headers(token=self._token, library_name="nightjar")
        with self._errors(listing.repo, file=file.name):
            remote = self._patient(lambda: get_hf_file_metadata(url, headers=headers, token=self._token))
            if _origin(remote.location) != _origin(url):
                headers.pop("authorization", None)  # a signed address on another host must not get the token
            make_folder(part.parent)
            with part.open("ab") as out:
                http_get(
                    remote.location,
                    out,
                    resume_size=have,
                    headers=headers,
                    expected_size=file.bytes,
                    displayed_filename=file.name,
                    tqdm_class=_progress(advance, file.bytes),
                )
                out.flush()
                os.fsync(out.fileno())

    def _patient(self, call: Callable[[], Any]) -> Any:
        """Retries transient errors, such as those of a busy hub."""
        retrying = Retrying(
            retry=retry_if_exception(is_passing),
            stop=stop_after_attempt(4),
            wait=wait_exponential(multiplier=0.5, max=8),
            reraise=True,
            before_sleep=lambda state: _log.warning("hub_retry", attempt=state.attempt_number),
        )
        return retrying(call)

    def _errors(self, repo: str, *, revision: str | None = None, file: str | None = None) -> Any:
        return translated(
            HubQuestion(endpoint=self.endpoint, repo=repo, revision=revision, file=file, with_token=bool(self._token)),
            repositories=lambda: self._similar(repo),
            revisions=lambda: self._revisions(repo),
        )

    def _similar(self, repo: str) -> list[str]:
        """Names to suggest; empty if the hub gives none."""
        owner, _, name = repo.partition("/")
        names: list[str] = []
        for author, search in ((owner, None), (None, name.removesuffix("-GGUF"))):
            try:
                found = self._api.list_models(limit=50, author=author, search=search)
                names += safe_names((model.id for model in found), REPO)
            except Exception as error:  # a suggestion is not worth a second error
                _log.debug("hub_search_failed", reason=str(error))
        return names

    def _revisions(self, repo: str) -> list[str]:
        try:
            references = self._api.list_repo_refs(repo)
        except Exception as error:
            _log.debug("hub_refs_failed", reason=str(error))
            return ["main"]
        return safe_names((reference.name for reference in (*references.branches, *references.tags)), REVISION)


@lru_cache
def _say_unencrypted(endpoint: str) -> None:
    """Once a process."""
    _log.warning("token_unencrypted", what=f"HF_TOKEN goes to {endpoint} as it is: whoever is on the way can read it")


def part_of(folder: Path, file: RemoteFile) -> Path:
    """Path of the unfinished file, named by its content so that a part of another version is never resumed."""
    flat = file.name.replace("/", "--")
    return folder / CACHE / f"{flat}.{(file.sha256 or str(file.bytes))[:16]}.part"


def _check(repo: str, file: RemoteFile, part: Path) -> None:
    size = part.stat().st_size
    if size != file.bytes:
        raise HubError(
            f"{file.name} of {repo} has {size:,} bytes after the download where {file.bytes:,} were promised. "
            "Run the command again to fetch the rest."
        )
    if file.sha256 is not None and (actual := sha256([part])) != file.sha256:
        part.unlink()
        raise HubError(
            f"{file.name} of {repo} was damaged on its way: its SHA-256 is {actual[:16]}... and should be "
            f"{file.sha256[:16]}.... The download was removed; run the command again."
        )


def _prepare(home: Path) -> None:
    """Keeps the client's files out of the user's home and turns its statistics off. Call before its first import."""
    os.environ["HF_HOME"] = str(home / "hub")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "0"


def _progress(advance: Callable[[int], None], most: int) -> Any:
    """A stand-in for tqdm that only counts, and ends a download that brings more bytes than were promised."""

    class Counter:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.received = 0

        def __enter__(self) -> Counter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: float | None = 1) -> None:
            self.received += int(count or 0)
            if self.received > most:
                raise HubError("The hub sends more than it promised. The download was ended; do not trust this hub.")
            advance(int(count or 0))

        def close(self) -> None:
            pass

    return Counter


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3]).lower()
