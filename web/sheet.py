"""What most pages are: sections of tables, facts, forms and buttons, ready-made. One template shows them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from nightjar.pipeline.report.page.grid import Table


@dataclass(frozen=True, kw_only=True)
class Said:
    """A sentence that stands out. `level`: info or warning."""

    text: str
    level: str = "info"


@dataclass(frozen=True, kw_only=True)
class NamedFact:
    name: str
    value: str


def named_facts(facts: Mapping[str, str]) -> tuple[NamedFact, ...]:
    """In the order given."""
    return tuple(NamedFact(name=name, value=value) for name, value in facts.items())


@dataclass(frozen=True, kw_only=True)
class Link:
    text: str
    href: str


@dataclass(frozen=True, kw_only=True)
class Button:
    """Does something at once: `path` is a route that is posted to."""

    text: str
    path: str
    confirm: str | None = None
    """The question before it; None: it can be undone."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    value: str
    text: str
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class Field:
    """A form's field: a list where there are `choices`, else a line of text."""

    name: str
    label: str
    value: str = ""
    choices: tuple[Choice, ...] = ()
    several: bool = False
    kind: str = "text"
    """An input's type; "lines": several lines of text."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What is asked; `posts`: it changes something, else its answers go into the page's own address."""

    path: str
    submit: str
    fields: tuple[Field, ...]
    posts: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """`source`: an address of ours."""

    source: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ChartLine:
    """A line of a chart. `colour`: its number, from 1."""

    name: str
    colour: int


@dataclass(frozen=True, kw_only=True)
class ChartShown:
    """A chart that was drawn elsewhere; `svg` None: it could not be, and the table says the same."""

    title: str
    note: str
    alternative: str
    lines: tuple[ChartLine, ...]
    svg: Markup | None
    table: Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page; what is empty is not shown, but `empty` says what to do where there is neither
    table nor chart."""

    id: str
    heading: str
    hint: str = ""
    facts: tuple[NamedFact, ...] = ()
    table: Table | None = None
    empty: str = ""
    command: str = ""
    """What does the same in a terminal, to be copied."""
    share: float | None = None
    """How far something is, from 0 to 1."""
    form: Form | None = None
    second: Form | None = None
    """Another one, for what was found by the first."""
    buttons: tuple[Button, ...] = ()
    links: tuple[Link, ...] = ()
    pictures: tuple[Picture, ...] = ()
    charts: tuple[ChartShown, ...] = ()
    frame: str | None = None
    """Address of a document that is shown inside, locked up."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What every page has. `live`: it is read again when something moves."""

    title: str
    live: bool = False
    run: str = ""
    """Of a live page: the run whose moves alone matter to it; empty: all do."""
    scripts: tuple[str, ...] = ()
    """Its own, besides those of every page."""


@dataclass(frozen=True, kw_only=True)
class Sheet(Content):
    """A page of sections."""

    lead: str = ""
    said: tuple[Said, ...] = ()
    buttons: tuple[Button, ...] = ()
    links: tuple[Link, ...] = ()
    sections: tuple[Section, ...] = ()
