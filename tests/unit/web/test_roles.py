"""The one table of who may do what."""

from __future__ import annotations

import pytest

from nightjar.jobs.accounts.documents import Role, TokenScope
from nightjar.web.auth.roles import LEAST, SCOPES, Action, allowed, may

MAY = {
    Role.NOBODY: {Action.OPEN},
    Role.VIEWER: {Action.OPEN, Action.READ, Action.METRICS},
    Role.OPERATOR: {Action.OPEN, Action.READ, Action.METRICS, Action.RUN, Action.GENERATE},
    Role.ADMIN: set(Action),
}


@pytest.mark.parametrize("role", Role)
def test_what_a_role_may(role: Role) -> None:
    assert {action for action in Action if may(role, action)} == MAY[role]


def test_the_tables_are_whole() -> None:
    assert LEAST.keys() == set(Action)
    assert SCOPES.keys() == set(TokenScope)


@pytest.mark.parametrize(
    ("role", "scope", "expected"),
    [
        (Role.ADMIN, TokenScope.READ, {Action.OPEN, Action.READ}),
        (Role.ADMIN, TokenScope.V1, {Action.OPEN, Action.GENERATE}),  # a chat front end's token reads no transcripts
        (Role.VIEWER, TokenScope.ADMIN, MAY[Role.VIEWER]),  # no token gives more than its user has
        (Role.OPERATOR, TokenScope.RUN, {Action.OPEN, Action.READ, Action.RUN}),
    ],
)
def test_a_token_is_good_for_its_scopes_as_far_as_its_user_reaches(
    role: Role, scope: TokenScope, expected: set[Action]
) -> None:
    assert {action for action in Action if allowed(role, action, [scope])} == expected


def test_a_token_without_scopes_opens_nothing() -> None:
    assert {action for action in Action if allowed(Role.ADMIN, action, [])} == {Action.OPEN}
