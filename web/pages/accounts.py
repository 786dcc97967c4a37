"""A user, a token, and what an admin does about them: what `nightjar user` and `nightjar token` do, and by the same
functions."""

from __future__ import annotations

from collections.abc import Iterable

from nightjar.config.counting import how_many
from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.accounts.access import (
    add_token,
    add_user,
    change_user,
    count_sessions,
    find_user,
    limit_token,
    remove_token,
    remove_user,
    token_owner,
)
from nightjar.jobs.accounts.documents import ApiToken, Role, TokenLimits, TokenScope, User
from nightjar.jobs.accounts.read_accounts import check_account_name, read_limits, read_role, read_scopes
from nightjar.jobs.accounts.token_ledger import limit_words
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.run_form import choices_of
from nightjar.web.pages.words import moment, path_to, read_amount, read_number
from nightjar.web.sheet import Button, Choice, Field, Form, Link, Section, Sheet, named_facts

HOME = "/settings"
_BACK = (Link(text="Settings", href=HOME),)
LONGEST_DAYS = 36_500
MOST = 10**12
"""Of requests or tokens that somebody may allow."""


def user_address(name: str, *parts: str) -> str:
    """The page of a user."""
    return path_to("settings", "users", name, *parts)


def token_address(name: str, *parts: str) -> str:
    """The page of a token."""
    return path_to("settings", "tokens", name, *parts)


def new_user_form() -> Form:
    fields = (Field(name="name", label="Name"), _role_field(Role.VIEWER), _password_field())
    return Form(path="/settings/add-user", submit="Add the user", fields=fields, posts=True)


def new_token_form(users: Iterable[str]) -> Form:
    """`users`: on whose behalf it may act; none: the owner's."""
    scopes = tuple(Choice(value=scope, text=scope, chosen=scope is TokenScope.READ) for scope in TokenScope)
    whose = choices_of(users, ())
    fields = (
        Field(name="name", label="Name"),
        *((Field(name="user", label="On behalf of", choices=whose),) if whose else ()),
        Field(name="scope", label="Good for", choices=scopes, several=True),
        Field(name="per_minute", label="Most requests in a minute (optional)", kind="number"),
        Field(name="days", label="Ends after so many days (optional)", kind="number"),
        *_budget_fields(TokenLimits()),
    )
    return Form(path="/settings/add-token", submit="Make the token", fields=fields, posts=True)


def _role_field(role: Role) -> Field:
    return Field(
        name="role", label="Role", choices=choices_of([each for each in Role if each is not Role.NOBODY], [role])
    )


def _password_field() -> Field:
    return Field(name="password", label="Password (8 characters or more)", kind="password")


def _budget_fields(limits: TokenLimits) -> tuple[Field, ...]:
    named = (
        ("budget", "US dollars in a month (optional)", limits.usd_month),
        ("budget_a_day", "US dollars in a day (optional)", limits.usd_day),
        ("tokens_a_month", "Tokens in a month (optional)", limits.tokens_month),
        ("tokens_a_day", "Tokens in a day (optional)", limits.tokens_day),
    )
    return tuple(
        Field(name=name, label=label, value="" if value is None else f"{value:.15g}") for name, label, value in named
    )


async def build_user(visit: Visit) -> Sheet:
    """Role, sessions and tokens of a user."""
    user = await find_user(visit.path["name"])
    tokens = await ApiToken.find({"user": user.id}).sort("+_id").to_list()
    facts = {
        "Role": str(user.role),
        "Since": moment(user.created_at),
        "Role or password changed": moment(user.changed_at),
        "Logged in": how_many(await count_sessions(user.id, visit.site.database), "browser"),
        "Tokens": ", ".join(token.id for token in tokens) or ABSENT,
    }
    role = Form(
        path=user_address(user.id, "set-role"), submit="Set the role", fields=(_role_field(user.role),), posts=True
    )
    password = Form(
        path=user_address(user.id, "set-password"), submit="Set the password", fields=(_password_field(),), posts=True
    )
    question = f"Remove {user.id} with their sessions, tokens and memories?"
    return Sheet(
        title=user.id,
        links=_BACK,
        buttons=(Button(text="Remove", path=user_address(user.id, "remove-user"), confirm=question),),
        sections=(
            Section(id="facts", heading="The user", facts=named_facts(facts)),
            Section(
                id="change", heading="Change", hint="Either ends the sessions of the user.", form=role, second=password
            ),
        ),
    )


async def build_token(visit: Visit) -> Sheet:
    """What a token may do; its secret is kept nowhere."""
    token = await _find_token(visit.path["name"])
    facts = {
        "On behalf of": token.user or "owner",
        "Good for": ", ".join(token.scopes),
        "Requests in a minute": ABSENT if token.per_minute is None else str(token.per_minute),
        "Budget": limit_words(token.limits) or ABSENT,
        "Made": moment(token.created_at),
        "Until": moment(token.expires_at),
        "Last used": moment(token.last_used_at),
        "From": token.last_used_from or ABSENT,
    }
    fields = _budget_fields(token.limits)
    form = Form(path=token_address(token.id, "set-budget"), submit="Set all budgets", fields=fields, posts=True)
    revoke = Button(
        text="Revoke",
        path=token_address(token.id, "remove-token"),
        confirm=f"Revoke {token.id}? It opens nothing from then on.",
    )
    return Sheet(
        title=token.id,
        links=_BACK,
        buttons=(revoke,),
        sections=(
            Section(id="facts", heading="The token", facts=named_facts(facts)),
            Section(id="budgets", heading="Budgets", hint="What is left empty has no limit.", form=form),
        ),
    )


async def _find_token(name: str) -> ApiToken:
    token = await ApiToken.get(name)
    if token is None:
        raise UnknownNameError("token", name, [other.id for other in await ApiToken.find_all().to_list()])
    return token


async def _add_user(visit: Visit) -> Done:
    """The first one takes over from the owner, whose session ends."""
    name, role = visit.one("name"), read_role(visit.one("role"))
    check_account_name(name)
    first = await User.find_one() is None
    await add_user(name, role, await _digest(visit), visit.site.database)
    said = f"User {name}, {role}, can log in."
    return Done(said=said, about=name, to="/login" if first else user_address(name), details={"role": role})


async def _digest(visit: Visit) -> str:
    """Of the password as it was typed: a space is a part of it. Taken of the form alone, never of the address."""
    return await visit.site.passwords.digest((visit.form.get("password") or [""])[0])


async def _set_role(visit: Visit) -> Done:
    name, role = visit.path["name"], read_role(visit.one("role"))
    await change_user(name, visit.site.database, role=role)
    return Done(
        said=f"{name} is {role} now; their sessions have ended.", to=_after(name, visit), details={"role": role}
    )


async def _set_password(visit: Visit) -> Done:
    name = (await find_user(visit.path["name"])).id
    await change_user(name, visit.site.database, password=await _digest(visit))
    return Done(said=f"{name} has a new password; their sessions have ended.", to=_after(name, visit))


async def _remove_user(visit: Visit) -> Done:
    name = visit.path["name"]
    await remove_user(name, visit.site.database)
    return Done(said=f"{name} is removed, with their sessions and tokens.", to=_after(name, visit) or HOME)


def _after(name: str, visit: Visit) -> str | None:
    """Whoever ends their own session logs in again."""
    return "/login" if visit.visitor.user == name else None


async def _add_token(visit: Visit) -> Done:
    """The secret is said this once, and written nowhere."""
    name = visit.one("name")
    check_account_name(name)
    scopes, limits = read_scopes(visit.many("scope")), _limits(visit)
    owner = await token_owner(visit.one("user") or None)
    per_minute, days = _count(visit, "per_minute", MOST), _count(visit, "days", LONGEST_DAYS)
    secret = await add_token(
        name, owner, scopes, database=visit.site.database, per_minute=per_minute, days=days, limits=limits
    )
    said = f"The token {name} is {secret} – copy it now: it is shown this once."
    return Done(said=said, about=name, details={"user": owner, "scopes": scopes, "days": days})


async def _set_budget(visit: Visit) -> Done:
    name, limits = visit.path["name"], _limits(visit)
    await limit_token(name, limits, visit.site.database)
    return Done(said=f"{name}: {limit_words(limits) or 'no limit'}.", details=limits.model_dump())


async def _remove_token(visit: Visit) -> Done:
    name = visit.path["name"]
    await remove_token(name, visit.site.database)
    return Done(said=f"{name} opens nothing any more.", to=HOME)


def _limits(visit: Visit) -> TokenLimits:
    budgets = [read_amount(name, text) if (text := visit.one(name)) else None for name in ("budget", "budget_a_day")]
    tokens = [_count(visit, name, MOST) for name in ("tokens_a_month", "tokens_a_day")]
    return read_limits(budgets[0], budgets[1], tokens[0], tokens[1])


def _count(visit: Visit, name: str, most: int) -> int | None:
    """A number of the form; None where it was left empty. Raises UsageError."""
    text = visit.one(name)
    if not text:
        return None
    count = read_number(name, text[:20])
    if not 1 <= count <= most:
        raise UsageError(f"{name} is {count}: give 1 to {most:,}.")
    return count


ROUTES = (
    post_action("/settings/add-user", Action.MANAGE, _add_user),
    post_action("/settings/add-token", Action.MANAGE, _add_token),
    page("/settings/users/{name}", "sheet.html", Sheet, build_user, action=Action.MANAGE),
    post_action("/settings/users/{name}/set-role", Action.MANAGE, _set_role),
    post_action("/settings/users/{name}/set-password", Action.MANAGE, _set_password),
    post_action("/settings/users/{name}/remove-user", Action.MANAGE, _remove_user),
    page("/settings/tokens/{name}", "sheet.html", Sheet, build_token, action=Action.MANAGE),
    post_action("/settings/tokens/{name}/set-budget", Action.MANAGE, _set_budget),
    post_action("/settings/tokens/{name}/remove-token", Action.MANAGE, _remove_token),
)
