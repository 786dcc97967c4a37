"""Puts together what a worker serves of a model at an endpoint."""

from __future__ import annotations

from pydantic import SecretStr

from nightjar.config.embedded import latest_redis_url
from nightjar.config.endpoint_keys import endpoint_key
from nightjar.config.errors import ModelError
from nightjar.config.settings import Settings
from nightjar.jobs.models import ModelFacts, ModelKind
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.workers.library.endpoints import RemoteEndpoint
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.remote_facts import remote_facts
from nightjar.workers.remote.caller import EndpointCaller
from nightjar.workers.remote.client import EndpointClient
from nightjar.workers.remote.embedder import RemoteEmbedder
from nightjar.workers.remote.replier import RemoteReplier


def client_at(name: str, endpoint: RemoteEndpoint, settings: Settings) -> EndpointClient:
    """Raises ModelError where its key is not in the environment, UsageError where it lies in a private network."""
    key = endpoint_key(endpoint.key_env)
    if endpoint.key_env is not None and key is None:
        raise ModelError(
            f"The endpoint {name!r} takes its key from the environment variable {endpoint.key_env}, which "
            "is not set here. Set it for whoever starts this command."
        )
    endpoint.check_reachable()
    return EndpointClient(endpoint, key, settings.remote)


def serve_remote(
    entry: ModelEntry,
    worker: str,
    settings: Settings,
    database: Database,
    redis: SecretStr,
    facts: ModelFacts | None = None,
) -> RemoteReplier | RemoteEmbedder:
    """Nothing is sent yet. Raises ModelError, UsageError."""
    from functools import partial

    assert entry.remote is not None
    facts = facts or remote_facts(entry)
    if entry.remote.at.budget is not None and facts.remote is not None and facts.remote.price is None:
        raise ModelError(
            f"The budget of the endpoint {entry.remote.endpoint!r} cannot be kept: nobody knows the price of "
            f"{entry.name!r}. Set `price = {{input = 0.15, output = 0.6}}` in models.toml (US dollars per million "
            "tokens; 0 where it is free)."
        )
    slots = entry.load.slots if isinstance(entry.load.slots, int) else entry.remote.at.limits.concurrency
    caller = EndpointCaller(
        entry.remote,
        entry.name,
        worker,
        settings.remote,
        slots,
        database=database,
        doorbell=Doorbell.unconnected(redis, partial(latest_redis_url, settings)),
    )
    kind = RemoteEmbedder if entry.remote.kind is ModelKind.EMBEDDING else RemoteReplier
    return kind(entry, facts, client_at(entry.remote.endpoint, entry.remote.at, settings), caller)
