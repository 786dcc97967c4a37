"""Routing policies as they are stored: ordered lists written by hand, and rules learnt from judged runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pymongo import ASCENDING, IndexModel

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.mongo import Database, DuplicateKeyError
from nightjar.jobs.stored import StoredDocument


class PolicyKind(StrEnum):
    ALIAS = "alias"
    """An ordered list that somebody wrote: not learnt."""
    ROUTER = "router"
    """Rules learnt from evidence."""


class TagRule(BaseModel):
    """What was learnt of a tag. `model`: who answers it; None: unknown, so that the default does."""

    model_config = ConfigDict(frozen=True)

    tag: str
    model: str | None
    best: str
    """The candidate with the highest mean."""
    pairs: int
    """Sequences that all candidates answered."""
    difference: float | None = None
    """Mean paired difference of `model` to the best, on the metric's scale where higher is better."""
    bound: float | None = None
    """The lowest of the one-sided 95 % lower bounds of its differences to all others."""
    reason: str


class NearestRule(BaseModel):
    """How a request's nearest prompts decide who answers it: see `pipeline/routing/nearest.py`. Frozen with the policy,
    the statistic's numbers included, so that it decides alike wherever it is asked.
    """

    model_config = ConfigDict(frozen=True)

    evidence: str
    """`_id` of the `RoutingEvidence` with the vectors and what came of the prompts."""
    embedder: str
    embedder_digest: str
    """Of the embedding model that made the vectors; those of another mean nothing beside them."""
    prompts: int
    neighbours: int
    """So many of the nearest prompts count."""
    near: float
    """Least cosine of the `least_pairs`-th nearest prompt: a request with a lower one is like none of these prompts."""
    unrelated: float
    """Cosine of prompts that have nothing to do with each other."""
    least_pairs: int
    """With fewer near prompts nothing is known."""
    margin: float
    """On the metric's scale, unlike the policy's own."""
    span: float
    """From the worst to the best value of the metric."""
    quantiles: list[float]
    """Student's t, one-sided, for the bound over `least_pairs`, one more, ... up to `neighbours` prompts."""


class Validation(BaseModel):
    """What a policy is worth on sequences that it was not learnt from."""

    model_config = ConfigDict(frozen=True)

    sequences: int
    share_cheapest: float
    """Of the sequences that went to the cheapest candidate."""
    policy: float
    cheapest: float
    """Always the cheapest candidate."""
    best: float
    """Always the default."""
    mix: float
    """A random mix with the policy's shares."""
    beats_mix: bool
    """The one-sided 95 % bound of the paired difference to the mix is above 0."""
    covered: float | None = None
    """Share of the sequences for which something was learnt; None in policies of before this was kept."""
    usd: float | None = None
    usd_best: float | None = None
    """A conversation: of the policy, and of always the default; None where a price is unknown."""


class RoutingPolicy(StoredDocument):
    """One version of a policy; only `active` ever changes. `_id` is KIND:NAME@VERSION."""

    id: str  # type: ignore[assignment]
    kind: PolicyKind
    name: str
    version: int
    candidates: list[str]
    """Of an alias in order of preference; of a router the cheapest first."""
    default: str
    """Who answers what nothing is known of."""
    rules: list[TagRule] = Field(default_factory=list)
    """By tags; empty where the nearest prompts decide."""
    nearest: NearestRule | None = None
    metric: str | None = None
    margin: float | None = None
    runs: list[str] = Field(default_factory=list)
    """Ids of the runs that it was learnt from."""
    validation: Validation | None = None
    active: bool = False
    created_at: datetime

    @property
    def address(self) -> str:
        """As requests name it."""
        return f"{self.kind}:{self.name}"

    class Settings:
        name = "policies"
        indexes: ClassVar = [
            IndexModel([("kind", ASCENDING), ("name", ASCENDING), ("version", ASCENDING)], unique=True)
        ]


async def store_policy(policy: RoutingPolicy, database: Database) -> RoutingPolicy:
    """Stores it as the next version of its name."""
    while True:
        newest = await policies_of(policy.kind, policy.name)
        version = newest[0].version + 1 if newest else 1
        next_one = policy.model_copy(update={"version": version, "id": f"{policy.kind}:{policy.name}@{version}"})
        try:
            await next_one.insert()
        except DuplicateKeyError:
            continue
        return next_one


async def activate_policy(policy: RoutingPolicy, database: Database) -> None:
    """Requests go by this version from now on."""
    same = {"kind": policy.kind, "name": policy.name}
    await database.raw["policies"].update_one({"_id": policy.id}, {"$set": {"active": True}})
    await database.raw["policies"].update_many({**same, "_id": {"$ne": policy.id}}, {"$set": {"active": False}})


async def policies_of(kind: PolicyKind, name: str) -> list[RoutingPolicy]:
    """All versions, newest first."""
    return await RoutingPolicy.find({"kind": kind, "name": name}).sort("-version").to_list()


async def all_policies() -> list[RoutingPolicy]:
    """Every version of every policy, by name, newest first."""
    return await RoutingPolicy.find_all().sort("+kind", "+name", "-version").to_list()


async def find_policy(address: str) -> RoutingPolicy:
    """The newest version of `alias:NAME`, `router:NAME` or NAME; `@VERSION` names another.

    Raises UnknownNameError, UsageError where an alias and a router are both called so.
    """
    name, _, version = address.partition("@")
    kind, colon, rest = name.rpartition(":")
    known = [policy for policy in await all_policies() if policy.name == rest]
    known = [policy for policy in known if (not colon or policy.kind == kind)]
    known = [policy for policy in known if not version or str(policy.version) == version]
    if not known:
        names = {policy.address for policy in await all_policies()}
        raise UnknownNameError("policy", address, names, "`nightjar router list` shows them.")
    kinds = sorted({policy.address for policy in known})
    if len(kinds) > 1:
        raise UsageError(f"{address!r} is the name of several policies: {', '.join(kinds)}. Say which.")
    return known[0]


async def active_policy(address: str) -> RoutingPolicy:
    """The version that requests go by. Raises UnknownNameError, UsageError where none is active."""
    kind, _, name = address.partition(":")
    row = await RoutingPolicy.find_one({"kind": kind, "name": name, "active": True})
    if row is not None:
        return row
    policy = await find_policy(address)
    raise UsageError(
        f"{policy.address} is not active. `nightjar router activate {policy.name}` makes it so; a run may name a "
        f"version that is not: {policy.id}."
    )


async def policy_of_run(address: str) -> RoutingPolicy:
    """What `alias:NAME` or `router:NAME` means in a new run: the active version, or the one after an @.

    Raises UnknownNameError, UsageError where none is active.
    """
    return await (find_policy(address) if "@" in address else active_policy(address))


def is_routed(model: str) -> bool:
    """Whether a request's model is a policy."""
    return model.startswith(tuple(f"{kind}:" for kind in PolicyKind))


class AnyPolicy(Protocol):
    """What of a policy says who is asked after whom (`RoutingPolicy` has it, and what a run freezes of one)."""

    @property
    def kind(self) -> PolicyKind: ...

    @property
    def candidates(self) -> list[str]: ...

    @property
    def default(self) -> str: ...


def fallbacks(policy: AnyPolicy, first: str) -> Sequence[str]:
    """Whom to ask, in order: the chosen one, and then the others as the policy lists them."""
    default_next = [policy.default, *policy.candidates] if policy.kind is PolicyKind.ROUTER else policy.candidates
    return tuple(dict.fromkeys([first, *default_next]))
