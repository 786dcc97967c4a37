"""Every page's template reads fields of the typed page that its route names, and calls nothing but macros."""

from __future__ import annotations

import pytest
from jinja2 import meta

from nightjar.web.pages.routes import ROUTES
from nightjar.web.render import TEMPLATES, Frame, Templates
from nightjar.web.routing import Route
from nightjar.web.static_files import read_static
from tests.template_reader import Reader

PAGES = [route for route in ROUTES if route.template is not None]


@pytest.fixture
def reader() -> Reader:
    return Reader(Templates.load(read_static()).environment)


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.path)
def test_every_name_is_a_field(route: Route, reader: Reader) -> None:
    assert route.template is not None
    template = reader.load(route.template)
    assert meta.find_undeclared_variables(template) <= {"page", "nonce"}
    reader.body(template.body, {"page": route.page, "nonce": str})
    assert reader.faults == []
    assert reader.fields_read > 3


def test_the_layouts_names_are_fields(reader: Reader) -> None:
    layout = reader.load("layout.html")
    assert meta.find_undeclared_variables(layout) <= {"frame"}
    reader.body(layout.body, {"frame": Frame})
    assert reader.faults == []
    assert reader.fields_read > 10


def test_every_template_is_some_pages(reader: Reader) -> None:
    used = {route.template for route in PAGES} | {"layout.html", "parts.html"}
    assert {path.name for path in TEMPLATES.iterdir()} == used
