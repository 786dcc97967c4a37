"""Policies as they are stored: versions of a name, which of them is active, and names that mean two things."""

from __future__ import annotations

import pytest

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.routing.policies import (
    PolicyKind,
    RoutingPolicy,
    activate_policy,
    active_policy,
    find_policy,
    policies_of,
    store_policy,
)


def policy(kind: PolicyKind, name: str = "chat") -> RoutingPolicy:
    return RoutingPolicy(
        id="", kind=kind, name=name, version=0, candidates=["a", "b"], default="b", created_at=utc_now()
    )


async def test_a_name_of_an_alias_and_a_router_is_asked_about(database: Database) -> None:
    await store_policy(policy(PolicyKind.ALIAS), database)
    assert (await find_policy("chat")).address == "alias:chat", "it means one thing"
    await store_policy(policy(PolicyKind.ROUTER), database)
    with pytest.raises(UsageError, match="several policies: alias:chat, router:chat"):
        await find_policy("chat")
    assert (await find_policy("router:chat")).kind is PolicyKind.ROUTER
    with pytest.raises(UnknownNameError, match="alias:chat"):
        await find_policy("alias:chta")


async def test_one_version_is_active_and_the_newest_is_found(database: Database) -> None:
    first, second = [await store_policy(policy(PolicyKind.ROUTER), database) for _ in range(2)]
    with pytest.raises(UsageError, match="not active"):
        await active_policy("router:chat")
    for each in (second, first):
        await activate_policy(each, database)
        assert (await active_policy("router:chat")).version == each.version
    assert [each.active for each in await policies_of(PolicyKind.ROUTER, "chat")] == [False, True]
    assert (await find_policy("chat")).version == 2
    assert (await find_policy("chat@1")).version == 1
