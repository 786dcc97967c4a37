"""Whether an endpoint answers with this machine's key, and has the models that the registry names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nightjar.config.counting import how_many


@dataclass(frozen=True, kw_only=True)
class TriedEndpoint:
    """What came of a try. `missing`: registered models that it does not list; some servers list none."""

    name: str
    host: str
    ok: bool
    problem: str | None = None
    listed: int = 0
    missing: tuple[str, ...] = ()
    resumed: bool = False
    """It was paused, and is no more."""

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        if not self.ok:
            return [f"{self.name} ({self.host}) does not answer as it should: {self.problem}."]
        said = [f"{self.name} ({self.host}) answers and lists {how_many(self.listed, 'model')}."]
        said += [f"It does not list {model!r}, which the registry names." for model in self.missing]
        return said + (["It was paused; requests are sent to it again."] if self.resumed else [])


async def try_endpoint(name: str) -> TriedEndpoint:
    """Raises UnknownNameError, ModelError where its key is not set, UsageError for a private address."""
    import asyncio

    from nightjar.config.errors import ModelError
    from nightjar.config.settings import load_settings
    from nightjar.workers.library.registry import find_endpoint, read_registry

    settings = load_settings()
    registry = read_registry(settings.models_file)
    endpoint = find_endpoint(name, registry)
    try:
        from nightjar.workers.remote.failures import RequestFailure
        from nightjar.workers.remote.serve import client_at
    except ModuleNotFoundError as error:
        raise ModelError(f"That needs the package {error.name}: pip install 'nightjar-eval[remote]'.") from None
    client = await asyncio.to_thread(client_at, name, endpoint, settings)
    try:
        listed = await client.list_models()
    except RequestFailure as failure:
        return TriedEndpoint(name=name, host=endpoint.host, ok=False, problem=failure.said)
    finally:
        await client.close()
    named = [registry.models[model].model for model in registry.models_at(name)]
    missing = tuple(model for model in named if model is not None and listed and model not in listed)
    resumed = await _resume(name)
    return TriedEndpoint(name=name, host=endpoint.host, ok=True, listed=len(listed), missing=missing, resumed=resumed)


async def _resume(name: str) -> bool:
    """Ends a pause, where MongoDB is up; whether there was one."""
    from nightjar.config.errors import ServiceError
    from nightjar.jobs.money.spending import paused_endpoint, resume_endpoint
    from nightjar.scripts.session import open_session

    try:
        async with open_session() as session:
            paused = await paused_endpoint(name, session.database) is not None
            await resume_endpoint(name, session.database)
            return paused
    except ServiceError:
        return False
