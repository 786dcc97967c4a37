"""What a live request with an API token may take at most, and its entry in the tokens' ledger while it is under way."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from nightjar.config.errors import ServiceError
from nightjar.jobs.accounts.token_ledger import ApiRequest, give_back_request, reserve_request, settle_request
from nightjar.jobs.live.task import LiveTask, TaskKind
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.mongo import Database, DatabaseError
from nightjar.jobs.parameters import ParameterSource, resolve
from nightjar.jobs.remote_models import TokenUse

_BYTES_PER_TOKEN = 2
"""More tokens than that a text has only where it is strange."""
_PER_MESSAGE = 16
_AROUND = 64
"""Tokens that a template may add around all of it."""


def most_use(ask: LiveAsk | LiveTask, facts: ModelFacts) -> TokenUse | None:
    """The most tokens that a request can take; None for what generates nothing: token ids, rendered prompts.

    Raises ParameterError.
    """
    if isinstance(ask, LiveTask):
        return _most_of_task(ask)
    texts = [str(message.get("content") or "") for message in ask.messages] or [ask.text or ""]
    values = resolve(
        [
            (ParameterSource.GGUF, facts.sampling_defaults),
            (ParameterSource.REGISTRY, facts.registry_parameters),
            (ParameterSource.SUITE, ask.parameters),
        ]
    ).values
    return _most(texts, values.max_tokens * (1 + values.retry_empty))


def _most_of_task(task: LiveTask) -> TokenUse | None:
    match task.kind:
        case TaskKind.EMBED:
            return _most(task.given["texts"], 0)
        case TaskKind.COMPLETE if "ids" in task.given:
            return _most([], len(task.given["ids"]) + task.given["max_tokens"])
        case TaskKind.COMPLETE:
            return _most([task.given["text"]], task.given["max_tokens"])
    return None


def _most(texts: list[str], reply: int) -> TokenUse:
    prompt = _AROUND + sum(
        _PER_MESSAGE + len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN for text in texts
    )
    return TokenUse(prompt=prompt, reply=reply, estimated=True)


@dataclass(eq=False, kw_only=True)
class LiveAccount:
    """One request's entry, from the moment before it becomes a job."""

    job: str
    database: Database

    async def settle(self, heard_bytes: int) -> None:
        """Of a job that has ended, or was cancelled when so much text was handed out. Idempotent; a server that is
        away leaves it to a dispatcher.
        """
        with suppress(ServiceError, DatabaseError):
            await settle_request(self.job, self.database, heard_bytes=heard_bytes)

    async def give_back(self) -> None:
        """Of a request that never became a job."""
        await give_back_request(self.job, self.database)


async def open_account(job: str, ask: LiveAsk | LiveTask, facts: ModelFacts, database: Database) -> LiveAccount | None:
    """Reserves what the request may take; None where it came with no token, or takes nothing.

    Raises TokenBudgetError, ParameterError, ServiceError.
    """
    most = most_use(ask, facts) if ask.payer is not None else None
    if ask.payer is None or most is None:
        return None
    remote = facts.remote
    entry = ApiRequest(
        id=job,
        token=ask.payer.token,
        user=ask.user,
        model=ask.model,
        endpoint=None if remote is None else remote.endpoint,
        request=ask.request or "",
        at=datetime.now(UTC),
        reserved=most,
        tokens=most.prompt + most.reply,
        usd=None if remote is None or remote.price is None else remote.price.cost(most),
    )
    await reserve_request(entry, ask.payer.limits, database)
    return LiveAccount(job=job, database=database)
