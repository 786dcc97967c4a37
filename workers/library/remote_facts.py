"""The facts of a model at an endpoint, from the registry alone: nothing is asked of the endpoint."""

from __future__ import annotations

from nightjar.jobs.identity import digest
from nightjar.jobs.models import ModelFacts, ModelSource
from nightjar.jobs.remote_models import RemoteFacts
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.list_prices import list_price


def remote_facts(entry: ModelEntry) -> ModelFacts:
    """The entry's facts. Its digest is of the origin, the path, the dialect and the model's name there: what the
    server makes of them may change all the same, which is why the answers' own model names are watched.
    """
    target = entry.remote
    assert target is not None, f"{entry.name} is a file"
    endpoint = target.at
    named = digest("remote", *endpoint.origin, endpoint.base_url, str(endpoint.kind), target.model)
    return ModelFacts(
        name=entry.name,
        source=ModelSource.REMOTE,
        digest=(named * 2)[:64],
        kind=target.kind,
        registry_parameters=entry.parameters,
        remote=RemoteFacts(
            endpoint=target.endpoint,
            host=endpoint.host,
            dialect=endpoint.kind,
            model=target.model,
            context=target.context,
            price=endpoint.price or list_price(target.model, endpoint.base_url),
        ),
    )
