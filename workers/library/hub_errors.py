"""Turns the hub client's errors into Nightjar's: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nightjar.config.errors import HubError, NightjarError, OutputError, UnknownNameError

_BUSY = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class HubQuestion:
    """The request that failed."""

    endpoint: str
    repo: str
    revision: str | None = None
    file: str | None = None
    with_token: bool = False


@contextmanager
def translated(
    asked: HubQuestion, *, repositories: Callable[[], list[str]], revisions: Callable[[], list[str]]
) -> Iterator[None]:
    """Raises HubError, UnknownNameError or OutputError for whatever the client raises inside.

    The callables are asked for names to suggest, and only when a name is unknown.
    """
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise HubError(_gated(asked)) from None
    except errors.RepositoryNotFoundError:
        remedy = "" if asked.with_token else "If it is private, set HF_TOKEN."
        kind = f"repository on {asked.endpoint}"
        raise UnknownNameError(kind, asked.repo, repositories(), remedy) from None
    except errors.RevisionNotFoundError:
        raise UnknownNameError("revision", str(asked.revision), revisions(), within=str(asked.repo)) from None
    except errors.EntryNotFoundError:
        raise HubError(
            f"The hub lists {asked.file} in {asked.repo} and does not serve it. Run the command again later."
        ) from None
    except errors.OfflineModeIsEnabled:
        raise HubError("HF_HUB_OFFLINE is set, so that the hub is not asked. Unset it to fetch models.") from None
    except errors.HfHubHTTPError as error:
        raise HubError(_refusal(error.response.status_code, asked)) from None
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        raise HubError(
            f"The hub at {asked.endpoint} cannot be reached ({type(error).__name__}: {error}). Check the network and "
            "HF_ENDPOINT, and run the command again: what is downloaded already is kept."
        ) from None
    except OSError as error:
        raise _write_error(error, asked.repo) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # the client's, about an answer of another form
        raise HubError(
            f"The hub at {asked.endpoint} answers for {asked.repo} with something that is none of its answers "
            f"({type(error).__name__}). Check HF_ENDPOINT."
        ) from None


def is_passing(error: BaseException) -> bool:
    """True for errors of a busy or unreliable hub that may not happen again a moment later."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _BUSY
    return isinstance(error, httpx2.TimeoutException | httpx2.RemoteProtocolError)


def _gated(asked: HubQuestion) -> str:
    now = "" if asked.with_token else " (none is set now)"
    return (
        f"{asked.repo} is gated. Accept its licence at {asked.endpoint}/{asked.repo} with your account, and set "
        f"HF_TOKEN to a token of that account{now}."
    )


def _refusal(status: int, asked: HubQuestion) -> str:
    if status == 401:
        return f"The hub refused the token for {asked.repo} (401). Check HF_TOKEN."
    if status == 403:
        return f"The hub forbids access to {asked.repo} (403). Check that the token in HF_TOKEN may read it."
    if status == 429:
        return f"The hub refuses {asked.repo} as this machine asks too often (429). Wait some minutes and try again."
    return f"The hub at {asked.endpoint} answered {status} for {asked.repo}. Run the command again later."


def _write_error(error: OSError, repo: str) -> NightjarError:
    """A failed write, or a body of the wrong length: the client raises OSError for both."""
    if error.errno is not None:
        return OutputError(f"{repo} cannot be written: {error.strerror}. Make room, and run the command again.")
    return HubError(f"The download of {repo} broke off: {str(error).splitlines()[0]} Run the command again.")
