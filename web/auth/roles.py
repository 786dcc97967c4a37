"""Who may do what: one pure table. Every route names the action that it is."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from nightjar.jobs.accounts.documents import Role, TokenScope


class Action(StrEnum):
    """What a route does, as far as rights go."""

    OPEN = "open"
    """Anybody may: whether the server lives, the login, the style sheet."""
    READ = "read"
    """Pages, with prompts and replies."""
    RUN = "run"
    """Make, pause, resume, cancel and retry runs, set baselines, change schedules."""
    REMOVE = "remove"
    """Delete for good."""
    MANAGE = "manage"
    """Settings, the audit."""
    GENERATE = "generate"
    """Have a model reply now."""
    METRICS = "metrics"


_LADDER = (Role.NOBODY, Role.VIEWER, Role.OPERATOR, Role.ADMIN)
LEAST: dict[Action, Role] = {
    Action.OPEN: Role.NOBODY,
    Action.READ: Role.VIEWER,
    Action.METRICS: Role.VIEWER,
    Action.RUN: Role.OPERATOR,
    Action.GENERATE: Role.OPERATOR,
    Action.REMOVE: Role.ADMIN,
    Action.MANAGE: Role.ADMIN,
}
"""The least role for an action."""
SCOPES: dict[TokenScope, frozenset[Action]] = {
    TokenScope.READ: frozenset({Action.READ}),
    TokenScope.RUN: frozenset({Action.READ, Action.RUN}),
    TokenScope.V1: frozenset({Action.GENERATE}),
    TokenScope.METRICS: frozenset({Action.METRICS}),
    TokenScope.ADMIN: frozenset(Action),
}
"""What a token of a scope is good for, as far as its user's role reaches."""


def may(role: Role, action: Action) -> bool:
    """Whether somebody of this role may do this."""
    return _LADDER.index(role) >= _LADDER.index(LEAST[action])


def allowed(role: Role, action: Action, scopes: Collection[TokenScope] | None) -> bool:
    """The same for somebody who came with a token of these scopes; None: with a session."""
    return may(role, action) and (
        scopes is None or action is Action.OPEN or any(action in SCOPES[scope] for scope in scopes)
    )
