"""Chat templates: what they may do, what they see, and what stops hostile ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from nightjar.config.errors import TemplateError
from nightjar.workers.conversation.template_sandbox import Sandbox
from nightjar.workers.conversation.templates import ChatTemplate, default_template, merge_system
from nightjar.workers.engine.fake import CHAT_TEMPLATE

USER = [{"role": "user", "content": "Hi <b> é"}]


def render(source: str, messages: list[dict[str, Any]] | None = None, **given: Any) -> str:
    return ChatTemplate(source, bos_text="<s>", eos_text="</s>", date="2026-03-14").render(messages or USER, **given)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),  # blocks trimmed, and blanks before them
        ("{{ bos_token }}{{ eos_token }}", "<s></s>"),
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "Hi <b> é"}'),  # nothing escaped
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}", '{"a":2,"b":1}'),
        ("{{ messages | tojson(indent=1) | length > 10 }}", "True"),
        (
            "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 3 %}{% break %}{% endif %}"
            "{{ i }}{% endfor %}",
            "013",
        ),
        ("{% generation %}a{{ 1 }}{% endgeneration %}", "a1"),
        ("{% set ns = namespace(a=1) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", "4"),
        ("{{ dict(a=1, **{'b': 2}) }}", "{'a': 1, 'b': 2}"),
        ("{{ strftime_now('%d %b %Y') }}", "14 Mar 2026"),  # the run's date
        ("{{ tools is none }}{{ documents is none }}{{ tools is defined }}", "TrueTrueTrue"),
        ("{{ 'a' ~ 1 ~ none }}{{ 'ab' * 2 }}{{ 7 // 2 }}{{ 2 ** 5 }}{{ '%s-%03d' % ('x', 7) }}", "a1Noneabab332x-007"),
        (
            "{{ '{:>4}|{a}'.format(1, a=2) }}{{ ' x '.strip() }}{{ 'a,b'.split(',')[-1] }}{{ 'abc'[::-1] }}",
            "   1|2xbcba",
        ),
        ("{% macro m(a) %}[{{ a }}{{ caller() if caller }}]{% endmacro %}{% call m(1) %}x{% endcall %}", "[1x]"),
        ("{% for m in messages recursive %}{{ loop.index }}{{ loop.last }}{{ loop.length }}{% endfor %}", "1True1"),
        ("{% for i in [3, 1, 2] | sort if i > 1 %}{{ i }}{% else %}none{% endfor %}", "23"),
        ("{% for i in [] %}{% else %}none{% endfor %}", "none"),
        ("{% set x %}a{{ 1 }}{% endset %}{{ x }}{% filter upper %}b{% endfilter %}", "a1B"),
        ("{{ missing }}{{ missing is defined }}{{ messages[0].missing is none }}", "FalseFalse"),
        ("{{ [1, 2] | map('string') | join('-') }}{{ [{'a': 1}] | selectattr('a') | list | length }}", "1-21"),
    ],
)
def test_what_templates_use(source: str, text: str) -> None:
    assert render(source) == text


def test_further_variables_reach_the_template() -> None:
    assert render("{{ enable_thinking }}", variables={"enable_thinking": False}) == "False"


BOMBS = {
    "a long text": "{{ 'a' * 10**9 }}",
    "a long list": "{{ [0] * 10**9 }}",
    "a large number": "{{ 9 ** 99999 }}",
    "squaring": "{% set n = namespace(x=7) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "doubling with ~": "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling with +": "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "a wide range": "{{ range(10**9) | list }}",
    "nested loops": "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
    "a loop that filters all": "{% set r = range(99999) %}{% for a in r %}{% for b in r if false %}{% endfor %}"
    "{% endfor %}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "branching recursion": "{% macro f(n) %}{% if n < 40 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}"
    "{{ f(0) }}",
    "a wide filter": "{{ 'a' | center(10**9) }}",
    "a wide method": "{{ 'a'.ljust(10**9) }}",
    "a wide %": "{{ '%1000000000d' % 1 }}",
    "a width from arguments": "{{ '%*d' % (1000000000, 1) }}",
    "a wide format": "{{ '{:>1000000000}'.format(1) }}",
    "a nested format": "{{ '{:{}}'.format(1, 1000000000) }}",
    "many fields": "{{ ('{0}' * 99999).format('a' * 999999) }}",
    "replacing": "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
    "replacing nothing": "{{ ('a' * 99999) | replace('', 'b' * 99999) }}",
    "joining": "{{ range(99999) | join('a' * 999999) }}",
    "joining what was mapped": "{{ range(99999) | map('string') | join('a' * 999999) }}",
    "indenting": "{{ ('a\n' * 99999) | indent(999999) }}",
    "tabs": "{{ ('\t' * 99999).expandtabs(99999) }}",
    "lists of lists": "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
    "{{ n.x }}",
    "comparing lists of lists": "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}"
    "{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
    "JSON of lists of lists": "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
    "{% endfor %}{{ n.x | tojson }}",
    "a namespace in itself": "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "printing in a loop": "{% for a in range(99999) %}" + "x" * 9999 + "{% endfor %}",
    "printing in a macro": "{% set b = 'a' * 999999 %}{% macro m() %}{% for a in range(99999) %}{{ b }}{% endfor %}"
    "{% endmacro %}{{ m() }}",
    "capturing in a loop": "{% set b = 'a' * 999999 %}{% set x %}{% for a in range(99999) %}{{ b }}{% endfor %}"
    "{% endset %}",
    "slicing in loops": "{% set l = range(9999) | list %}{% for a in l %}{% for b in l %}{% set z = l[::-1] %}"
    "{% endfor %}{% endfor %}",
    "searching in a loop": "{% set s = 'a' * 7000000 %}{% for b in range(99999) %}{% if 'b' in s %}{% endif %}"
    "{% endfor %}",
    "summing lists": "{{ ([range(99999) | list] * 9999) | sum(start=[]) }}",
    "batches": "{{ [1] | batch(10**8, 0) | list }}",
    "a deep tuple": "{% set n = namespace(t=()) %}{% for a in range(999) %}{% for b in range(999) %}"
    "{% set n.t = (n.t,) %}{% endfor %}{% endfor %}{{ {n.t: 1} | length }}",
    "a wide tree as a key": "{% set n = namespace(t=(1,)) %}{% for a in range(60) %}{% set n.t = (n.t, n.t) %}"
    "{% endfor %}{% if {n.t: 1} %}{% endif %}",
    "deep by arguments": "{% macro f(n) %}{{ f(varargs, n - 1) }}{% endmacro %}{{ f(9) }}",
    "round to millions of places": "{% set x = 5 | round(-30000000) %}{{ x }}",
    "round up to millions of places": "{% if 1.5 | round(30000000, 'ceil') %}{% endif %}",
    "formatting a list": "{{ ['%1000000000d'] | format(1) }}",
    "replacing in a list": "{{ ['a' * 99999] | replace('a', 'b' * 99999) }}",
    "replacing by name": "{{ ('a' * 99999) | replace(new='b' * 99999, old='a') }}",
    "a long date": "{{ strftime_now('%c' * 300000) }}",
    "a wide date": "{{ strftime_now('%1000000000d') }}",
    "joining a generator": "{{ range(9000) | map('string') | join('a' * 9000) }}",
    "joining a generator by method": "{{ ('a' * 9000).join(range(9000) | map('string')) }}",
    "joining lists that are made one by one": "{{ [9] | batch(1, 9) | map('list') | join('a' * 9000000) }}",
    "summing what is made one by one": "{{ range(90000) | map('list') | sum(start=[]) }}",
    "wide JSON": "{{ (range(9000) | list) | tojson(separators=('a' * 9000, ':')) }}",
    "stripping many characters": "{{ ('a' * 4000000).strip('b' * 3000000 ~ 'a') }}",
    "trimming many characters": "{{ ('a' * 4000000) | trim('b' * 3000000 ~ 'a') }}",
    "searching backwards": "{{ ('a' * 4000000).rfind('b' ~ 'a' * 2000000) }}",
    "long numbers": "{{ [7 ** 20000] * 99000 }}",
    "numbers from texts": "{{ ('f' * 4000000) | int(0, 16) }}",
    "deep brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep blocks": "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "a huge template": "x" * 300_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_hostile_templates_are_stopped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these can be left to run: each would take hours or more memory than there is."""
    monkeypatch.setattr("nightjar.workers.conversation.template_meter.BASE_WORK", 100_000)
    with pytest.raises(TemplateError, match=r"template|compile"):
        render(BOMBS[name])


def test_nothing_is_evaluated_while_a_template_is_compiled() -> None:
    """Where it is not counted: an error that only an evaluation finds comes when it is rendered, or not at all."""
    assert render("{% if false %}{{ 5 | round(-30000000) }}{% set x = 'a' | center(10 ** 9) %}{% endif %}x") == "x"
    compiled = Sandbox(datetime(2026, 3, 14, tzinfo=UTC)).compile(
        "{% set x = 'a' | upper %}{{ 'b' | upper }}", raw=True
    )
    assert "'A'" not in compiled
    assert "B" not in re.findall(r"'(.)'", compiled)


@pytest.mark.parametrize("name", ["pprint", "random", "urlize", "wordwrap", "xmlattr", "filesizeformat", "striptags"])
def test_filters_that_no_chat_template_needs(name: str) -> None:
    with pytest.raises(TemplateError, match=rf"does not compile, line 1: No filter named '{name}'"):
        render(f"{{{{ 'a' | {name} }}}}")


def test_what_comes_one_by_one_stays_so() -> None:
    """As with jinja2: an empty selection is true, its members are made when they are asked for."""
    assert render("{{ 1 if [] | select }}{{ [1, 2] | map('string') | first }}") == "11"
    assert render("{{ ['a', 'b'] | map('upper') | join(',') }}{{ ','.join(['a', 'b'] | map('upper')) }}") == "A,BA,B"
    assert render("{{ [[1], [2]] | map('first') | sum }}{{ [1, 2] | replace('1', 'x') }}") == "3[x, 2]"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ('<!---->' | safe).striptags() }}",
        "{{ 'a'.translate({}) }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({}) }}",
        "{% set n = namespace(__class__=1) %}",
        "{% set n = namespace() %}{% set n._a = 1 %}",
        "{{ ('%s' | format(1)).encode('idna') }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{% include 'x' %}",
        "{{ [1, 2] | random }}",
        "{{ lipsum() }}",
        "{% autoescape true %}{% endautoescape %}",
    ],
)
def test_what_templates_may_not_reach(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ cycler }}",
        "{{ cycler('a') }}",
        "{{ strftime_now }}",
        "{{ [[range]] }}",  # however deep
        "{{ {'a': dict}.items() }}",
        "{{ 'a'.upper }}",
        "{{ [1] | map('string') }}",  # an iterator
        "{{ [joiner] | join }}",
        "{{ namespace | string }}",
        "{{ 'a' ~ raise_exception }}",
        "{{ '%s' % [cycler] }}",
        "{{ '{}'.format(cycler) }}",
        "{{ '%s' | format(cycler) }}",
        "{{ cycler | upper }}",
        "{{ cycler | trim }}",
        "{{ cycler | safe }}",
        "{{ 'a' | replace('a', cycler) }}",
        "{{ ('' | safe).join([cycler]) }}",
        "{{ ('a' | safe).replace('a', cycler) }}",
    ],
)
def test_nothing_prints_where_in_memory_it_lies(source: str) -> None:
    """Another address at each rendering would be another prompt."""
    with pytest.raises(TemplateError, match="prints a function, a class or an iterator"):
        render(source)


@pytest.mark.parametrize("printed", ["n", "n | string", "n | safe", "[n] | join", "'a'.join([n])", "'%s' % [n]"])
def test_what_holds_itself_is_stopped(printed: str) -> None:
    """Looking through it for what may not be printed would have no end."""
    with pytest.raises(TemplateError, match="deep"):
        render("{% set n = namespace() %}{% set n.x = n %}{{ " + printed + " }}")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n\n{% if %}", r"does not compile, line 3"),
        ("a\n{{ raise_exception('Roles must\nalternate.') }}", r"refuses.*\(line 2\): Roles must alternate\. Give"),
        ("\n\n{{ messages[5].content }}", r"cannot render.*\(line 3\)"),
        ("{{ 'a' * 10**9 }}", r"was stopped \(line 1\)"),
    ],
)
def test_errors_name_the_templates_line_and_the_way_out(source: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words + r".*models\.toml.*mode: completion"):
        render(source)


def test_long_conversations_are_allowed_more_work() -> None:
    """A template that looks at every message for each message renders 200 turns."""
    quadratic = "{% for m in messages %}{% for n in messages %}{% endfor %}{{ m.content }}{% endfor %}"
    messages = [{"role": "user", "content": "x"}] * 400
    assert render(quadratic, messages) == "x" * 400


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 1 }}", "{{ 1 }}"),
        ({"tool_use": "t", "default": "d"}, "d"),
        ({"tool_use": "t"}, "t"),
        ([{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}], "d"),
        ('[{"name": "default", "template": "d"}]', "d"),
        ('{"default": "d"}', "d"),
        ('{"a": broken', '{"a": broken'),  # text after all
        ('{"a": 5}', '{"a": 5}'),
        ('[{"name": "a"}]', '[{"name": "a"}]'),
        ('{"a": ' * 99_999, '{"a": ' * 99_999),
    ],
)
def test_named_templates(source: Any, text: str) -> None:
    assert default_template(source) == text


def test_typed_content_for_templates_that_read_nothing_else() -> None:
    source = "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}"
    assert render(source) == "Hi <b> é"


def test_an_empty_tool_list_for_templates_that_loop_over_tools() -> None:
    source = "{% for tool in tools %}{{ tool }}{% endfor %}{{ messages[0].content }}"
    assert render(source) == "Hi <b> é"


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        (CHAT_TEMPLATE, True),
        ("{{ messages[0].content }}", True),
        ("{{ messages[-1].content }}", False),  # silently dropped
        ("{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHAT_TEMPLATE, False),
    ],
)
def test_system_messages_taken_or_not(source: str, takes: bool) -> None:
    assert ChatTemplate(source, date="2026-03-14").takes_system is takes


def test_merged_system_messages() -> None:
    messages = [{"role": "system", "content": "S"}, *USER, {"role": "assistant", "content": "a"}]
    assert merge_system(messages) == [{"role": "user", "content": "S\n\nHi <b> é"}, messages[2]]


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (CHAT_TEMPLATE, False),  # speaks of no reasoning
        ("<think></think>{{ messages[1].reasoning_content }}{{ messages[1].content.split('</think>')[-1] }}", False),
        ("<think></think>{{ messages[1].reasoning_content }}{{ messages[1].content }}", True),
        ("<think></think>{{ messages[1].content }}", False),  # nowhere to put it
        (
            "<think></think>{% if '<think>' in messages[1].content %}{{ raise_exception('x') }}{% endif %}"
            "{{ messages[1].thinking }}{{ messages[1].content }}",
            True,
        ),
    ],
)
def test_where_past_reasoning_belongs(source: str, fields: bool) -> None:
    assert ChatTemplate(source, date="2026-03-14").reasoning_in_fields is fields


def test_markers_of_the_registry_come_first() -> None:
    template = ChatTemplate("<think></think>", date="2026-03-14", reasoning=("<a>", "</a>"))
    assert template.markers is not None
    assert (template.markers.open, template.markers.close) == ("<a>", "</a>")


def test_the_digest_is_of_the_text() -> None:
    assert ChatTemplate("a", date="2026-03-14").digest == ChatTemplate({"default": "a"}, date="2027-01-01").digest
    assert ChatTemplate("a", date="2026-03-14").digest != ChatTemplate("b", date="2026-03-14").digest
