"""How models write reasoning: the markers around it, in the forms that real models use. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_ATOM = re.compile(r"<[^<>\s]*>|\[[^\[\]\s]*\]|◁[^◁▷\s]*▷")
"""A part of a marker that vocabularies have as one token."""


@dataclass(frozen=True, kw_only=True)
class Markers:
    """`open`, thoughts, `close`, reply; `lead` may precede a reply without reasoning.

    Where a marker has more than one form, `opens`, `closes` and `leads` are regular expressions of all of them, and
    `open`, `close` and `lead` the forms to write.
    """

    open: str
    close: str
    lead: str = ""
    opens: str = ""
    closes: str = ""
    leads: str = ""
    inner: str = ""
    """A regular expression of what stands between two pieces of the same thoughts."""
    further: tuple[str, ...] = ()
    """Tokens that occur in other forms alone."""

    @cached_property
    def opening(self) -> re.Pattern[str]:
        return re.compile(self.opens or re.escape(self.open))

    @cached_property
    def closing(self) -> re.Pattern[str]:
        return re.compile(self.closes or re.escape(self.close))

    @cached_property
    def leading(self) -> re.Pattern[str] | None:
        """With the white space before it; None if replies have no lead."""
        return re.compile(r"\s*" + (self.leads or re.escape(self.lead))) if self.lead else None

    @cached_property
    def atoms(self) -> tuple[str, ...]:
        """The parts of all forms that a vocabulary may have as one token each."""
        return tuple(dict.fromkeys([*_ATOM.findall(self.open + self.close + self.lead), *self.further]))


_CHANNEL_ENDS = r"[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
"""After a channel's name: a recipient, a content type ("final json", "final <|constrain|>json"), and the end."""

HARMONY = Markers(
    open="<|channel|>analysis<|message|>",
    close="<|end|><|start|>assistant<|channel|>final<|message|>",
    lead="<|channel|>final<|message|>",
    opens=r"<\|channel\|>(?:analysis|commentary)" + _CHANNEL_ENDS,
    closes=r"<\|end\|>(?:<\|start\|>assistant)?<\|channel\|>final" + _CHANNEL_ENDS,
    leads=r"<\|channel\|>final" + _CHANNEL_ENDS,
    inner=r"<\|end\|>(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)" + _CHANNEL_ENDS,
    further=("<|constrain|>",),
)
"""gpt-oss: each message has a channel in its header. Source: OpenAI's description of the harmony format."""

KNOWN = (
    HARMONY,
    Markers(open="<|think|>", close="<|end|><|begin|>assistant<|content|>", lead="<|content|>"),
    Markers(
        open=" to=self<|message|>", close="<|eom|><|start|>assistant to=user<|message|>", lead=" to=user<|message|>"
    ),
    Markers(open="<|channel>thought", close="<channel|>"),
    Markers(open="<|START_THINKING|>", close="<|END_THINKING|>"),
    Markers(open="<mm:think>", close="</mm:think>"),
    Markers(open="<seed:think>", close="</seed:think>"),
    Markers(open="[THINK]", close="[/THINK]"),
    Markers(open="◁think▷", close="◁/think▷"),
    Markers(open="<reasoning>", close="</reasoning>"),
    Markers(open="<think>", close="</think>"),
    Markers(open="<think:opensource>", close="</think:opensource>"),
    Markers(open="<thinking>", close="</thinking>"),
)
"""The markers that real templates use; of these, a template uses the first one that occurs in it."""


def detect(template_text: str) -> Markers | None:
    """The markers that occur in a template's source or rendering, None if none do.

    A template that only takes thoughts out of past replies names the closing marker alone.
    """
    both = (m for m in KNOWN if m.open in template_text and m.close[-9:] in template_text)
    return next(both, None) or next((m for m in KNOWN if m.close in template_text), None)
