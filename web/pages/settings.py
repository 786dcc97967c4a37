"""Settings: what is set without secrets, users and tokens, and the audit of what was changed."""

from __future__ import annotations

from nightjar.config.keys import key_paths
from nightjar.config.redact import redact_text
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.documents import ApiToken, AuditEntry, User
from nightjar.jobs.accounts.token_ledger import TokenUsage, limit_words, usage_of_tokens
from nightjar.jobs.mongo import utc_now
from nightjar.jobs.remote_models import usd_text
from nightjar.pipeline.report.data.numbers import ABSENT, whole
from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.auth.roles import Action
from nightjar.web.pages.accounts import new_token_form, new_user_form, token_address, user_address
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, moment
from nightjar.web.sheet import Section, Sheet

SHOWN = 200
_USE_COLUMNS = ("token", "model", "requests>", "prompt>", "reply>", "tokens today>", "cost>", "cost today>")


async def build_settings(visit: Visit) -> Sheet:
    """For admins alone."""
    users = await User.find_all().sort("+_id").to_list()
    tokens = await ApiToken.find_all().sort("+_id").to_list()
    usage = await usage_of_tokens(visit.site.database, utc_now())
    entries = await AuditEntry.find_all().sort("-at").limit(SHOWN).to_list()
    return Sheet(
        title="Settings",
        sections=(
            Section(
                id="users-section",
                heading="Users",
                table=made_table(
                    "users",
                    ("user", "role", "since"),
                    (
                        (linked(user.id, user_address(user.id)), str(user.role), moment(user.created_at))
                        for user in users
                    ),
                ),
                empty="None: the link that `nightjar serve` prints logs in. `nightjar user add` adds one, too; the "
                "first is an admin, who takes over what the owner had.",
                form=new_user_form(),
            ),
            Section(
                id="tokens-section",
                heading="Tokens",
                table=made_table(
                    "tokens", ("token", "user", "scopes", "budget", "last use", "until"), map(_token_row, tokens)
                ),
                empty="None. `nightjar token add NAME --scope read` makes one, too.",
                form=new_token_form(user.id for user in users),
            ),
            Section(
                id="token-use-section",
                heading="What tokens took in this month",
                hint="Live requests, by model (UTC). What the cache answered took nothing; what is under way counts "
                "today as all that is reserved.",
                table=made_table("token-use", _USE_COLUMNS, map(_use_row, usage)),
                empty="Nothing yet.",
            ),
            Section(
                id="settings-section",
                heading="What is set",
                hint="From the environment, `.env` and `nightjar.toml`; a change counts from the next start.",
                table=made_table("settings", ("setting", "value"), _setting_rows(visit.site.settings)),
            ),
            Section(
                id="audit-section",
                heading="What was changed",
                table=made_table(
                    "audit", ("when", "who", "from", "what", "about", "outcome"), map(_audit_row, entries)
                ),
                empty="Nothing yet.",
            ),
        ),
    )


def _token_row(token: ApiToken) -> tuple[Cell | str, ...]:
    last = ABSENT if token.last_used_at is None else f"{moment(token.last_used_at)}, {token.last_used_from}"
    budget = limit_words(token.limits) or ABSENT
    name = linked(token.id, token_address(token.id))
    return name, token.user or "owner", ", ".join(token.scopes), budget, last, moment(token.expires_at)


def _use_row(use: TokenUsage) -> tuple[str, ...]:
    local = use.usd is None and not use.unpriced
    return (
        use.token,
        use.model,
        whole(use.requests),
        whole(use.prompt_tokens),
        whole(use.reply_tokens),
        whole(use.tokens_day),
        ABSENT if local else usd_text(use.usd, unpriced=use.unpriced),
        ABSENT if local else usd_text(use.usd_day, unpriced=use.unpriced),
    )


def _audit_row(entry: AuditEntry) -> tuple[str, ...]:
    return moment(entry.at), entry.who, entry.address, entry.action, entry.about, entry.outcome


def _setting_rows(settings: Settings) -> list[tuple[str, str]]:
    rows = []
    for path in key_paths(Settings):
        value: object = settings
        for part in path:
            value = getattr(value, part)
        rows.append((".".join(path), ABSENT if value is None else redact_text(str(value))))
    return sorted(rows)


ROUTES = (page("/settings", "sheet.html", Sheet, build_settings, action=Action.MANAGE),)
