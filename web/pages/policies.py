"""One version of a policy: what was learnt, what it is worth, how old that is; requests may be made to go by it."""

from __future__ import annotations

from nightjar.jobs.lookup import evaluation_names
from nightjar.jobs.routing.policies import PolicyKind, RoutingPolicy, TagRule, activate_policy, find_policy
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell
from nightjar.pipeline.routing.words import check_worth, coverage, nearest_words, needs_force, worth
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.policy_facts import policy_path, read_stale
from nightjar.web.pages.words import made_table, moment, run_address, whole_number
from nightjar.web.sheet import Button, Link, Said, Section, Sheet, named_facts

RULES = ("tag", "answered by", "difference to the best>", "95 % bound>", "pairs>", "why")
NO_TAGS = "The sequences had no tags, so that the default answers all. `nightjar suite show` says which have some."
ALIAS_HINT = "An ordered list that somebody wrote: who cannot answer is followed by the next. Nothing of it is learnt."
ROUTER_HINT = (
    "For each tag the cheapest candidate whose paired difference to each of the others has its one-sided 95 % lower "
    "bound above minus the margin. Where that is unknown the default answers."
)


async def build_policy(visit: Visit) -> Sheet:
    """The version in the address; without one the newest."""
    database = visit.site.database
    policy = await find_policy(visit.path["policy"])
    stale = await read_stale(policy, await database.now(), database)
    names = await evaluation_names(policy.runs, database)
    runs = [name for run in policy.runs if (name := names.get(run)) is not None]
    learnt = policy.kind is PolicyKind.ROUTER
    facts = {
        "State": "active" if policy.active else "not active",
        "Candidates": ", ".join(policy.candidates),
        "Default": policy.default,
        "Metric": policy.metric or ABSENT,
        "Margin": ABSENT if policy.margin is None else f"{policy.margin:g}",
        "Covers": coverage(policy),
        "Made": moment(policy.created_at),
    }
    return Sheet(
        title=policy.id,
        lead=worth(policy.validation) if learnt else ALIAS_HINT,
        said=tuple(Said(text=f"Stale: {reason}.", level="warning") for reason in stale),
        buttons=_buttons(policy) if visit.visitor.can(Action.RUN) else (),
        links=(Link(text="Costs and router", href="/costs"),),
        sections=(
            Section(
                id="facts",
                heading="The policy",
                facts=named_facts(facts),
                links=tuple(Link(text=f"Learnt from {name}", href=run_address(name)) for name in runs),
            ),
            *((_rules_section(policy),) if learnt else ()),
        ),
    )


def _rules_section(policy: RoutingPolicy) -> Section:
    return Section(
        id="rules-section",
        heading="What was learnt",
        hint=ROUTER_HINT if policy.nearest is None else "",
        table=made_table("rules", RULES, (_rule(rule, policy.default) for rule in policy.rules)),
        empty=NO_TAGS if policy.nearest is None else nearest_words(policy.nearest),
    )


def _rule(rule: TagRule, default: str) -> tuple[Cell | str, ...]:
    unknown = rule.model is None
    return (
        rule.tag,
        Cell(text=rule.model or default, note="unknown: the default" if unknown else "", alert=unknown),
        ABSENT if rule.difference is None else f"{rule.difference:+.3f}",
        ABSENT if rule.bound is None else f"{rule.bound:+.3f}",
        whole_number(rule.pairs),
        rule.reason,
    )


def _buttons(policy: RoutingPolicy) -> tuple[Button, ...]:
    if policy.active:
        return ()
    if needs_force(policy):
        question = f"{policy.id} is not shown to be better than a random mix. Have requests go by it all the same?"
        return (Button(text="Activate", path=policy_path(policy, "activate", force="yes"), confirm=question),)
    return (Button(text="Activate", path=policy_path(policy, "activate")),)


async def _activate(visit: Visit) -> Done:
    """Requests go by this version from now on. One that is not shown to be worth it needs `force`."""
    policy = await find_policy(visit.path["policy"])
    check_worth(policy, force=visit.one("force") == "yes", remedy="`force=yes` activates it all the same.")
    await activate_policy(policy, visit.site.database)
    return Done(said=f"Requests for {policy.address} go by version {policy.version} now.", about=policy.id)


ROUTES = (
    page("/policies/{policy}", "sheet.html", Sheet, build_policy),
    post_action("/policies/{policy}/activate", Action.RUN, _activate),
)
