"""From a typed page to HTML: a template gets the page and the nonce, the layout is put around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup, escape

from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.pipeline.report.data.safe import visible
from nightjar.pipeline.report.page.environment import TEMPLATES as REPORT_TEMPLATES
from nightjar.pipeline.report.page.environment import template_environment
from nightjar.web.sheet import Content
from nightjar.web.static_files import StaticFile

TEMPLATES = Path(__file__).parent / "templates"
PAGE_SCRIPTS = ("htmx.js", "hx-csp.js", "events.js", "pages.js")


@dataclass(frozen=True, kw_only=True)
class NavLink:
    text: str
    href: str
    here: bool


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What the layout shows around a page."""

    title: str
    nav: tuple[NavLink, ...]
    visitor: str
    logout: str | None
    """The token of the form that logs out; None where nobody is logged in."""
    nonce: str
    style: str
    icon: str
    scripts: tuple[str, ...]
    again: str | None
    """Address that is read again when something was changed; None: it never is."""
    live: bool
    """It is read again when something moves, too."""
    run: str
    """The run whose moves alone matter to it; empty: all do."""
    worker: str | None
    """Address of the script that holds the browser's stream of events; None: the page hears none."""
    version: str
    body: Markup


@dataclass(frozen=True, kw_only=True)
class Templates:
    """The templates with the report's macros; every text is escaped, and controls and turned directions are shown."""

    environment: Environment
    files: dict[str, StaticFile]

    @classmethod
    def load(cls, files: dict[str, StaticFile], root: str = "") -> Templates:
        """`root`: the path below which a proxy has us, such as /nightjar."""
        environment = template_environment(TEMPLATES, REPORT_TEMPLATES)
        environment.filters["address"] = lambda path: f"{root}{path}" if str(path).startswith("/") else path
        environment.filters["coded"] = coded
        for name in environment.list_templates(extensions=["html"]):
            environment.get_template(name)  # read now: another version may take its place while this one runs
        return cls(environment=environment, files=files)

    def body(self, template: str, page: Content, nonce: str) -> Markup:
        """The page without its layout."""
        text = self.environment.get_template(template).render(page=page, nonce=nonce)
        return Markup(text)  # noqa: S704  # a template of ours, which escapes

    def whole(
        self,
        body: Markup,
        *,
        title: str,
        nonce: str,
        nav: tuple[NavLink, ...] = (),
        visitor: str = "",
        logout: str | None = None,
        scripts: tuple[str, ...] = PAGE_SCRIPTS,
        again: str | None = None,
        content: Content | None = None,
    ) -> str:
        """The page in its layout."""
        hears = content is not None and "pages.js" in scripts
        frame = Frame(
            title=title,
            nav=nav,
            visitor=visitor,
            logout=logout,
            nonce=nonce,
            style=self.files["style.css"].url,
            icon=self.files["icon.svg"].url,
            scripts=tuple(self.files[name].url for name in (*scripts, *(content.scripts if content else ()))),
            again=again,
            live=content is not None and content.live,
            run=content.run if content is not None else "",
            worker=self.files["events.js"].url if hears else None,
            version=NIGHTJAR_VERSION,
            body=body,
        )
        return self.environment.get_template("layout.html").render(frame=frame)


def coded(text: str) -> Markup:
    """A sentence in which what stands between backticks is typed somewhere."""
    parts = [escape(visible(part)) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a backtick without its other one
        return escape(visible(text))
    return Markup("").join(Markup("<code>{}</code>").format(p) if at % 2 else p for at, p in enumerate(parts))
