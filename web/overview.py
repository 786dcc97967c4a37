"""How everything stands, for the pages that show it: what `nightjar status` says."""

from __future__ import annotations

from nightjar.config.errors import ServiceError
from nightjar.jobs.redis_in_use import mongo_in_use, other_in_use
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import Overview, ServiceState
from nightjar.web.site import Site


async def site_overview(site: Site, *, run_id: str | None = None) -> Overview:
    """A Redis that is away is part of the answer."""
    return await read_overview(site.database, await _redis_state(site), run_id=run_id)


async def _redis_state(site: Site) -> ServiceState:
    try:
        await site.redis.ping()
        other = await other_in_use(site.redis, site.database, mongo_in_use(site.settings))
    except ServiceError as error:
        return ServiceState(ok=False, reason=str(error))
    return ServiceState(ok=other is None, reason=other)
