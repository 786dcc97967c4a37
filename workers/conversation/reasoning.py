"""Reasoning blocks: how a template or the registry says they begin and end, and splitting a reply by them. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from nightjar.workers.engine.request import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Markers:
    """How a model writes reasoning: `open`, thoughts, `close`, reply. `lead` may precede a reply without reasoning."""

    open: str
    close: str
    lead: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """The opening and the closing marker."""
        return self.open, self.close


KNOWN = (
    Markers(
        open="<|channel|>analysis<|message|>",
        close="<|end|><|start|>assistant<|channel|>final<|message|>",
        lead="<|channel|>final<|message|>",
    ),
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
    """The markers that occur in a template's source or rendering, None if none do."""
    return next((m for m in KNOWN if m.open in template_text and m.close[-9:] in template_text), None)


def is_open(prompt_text: str, markers: Markers | None) -> bool:
    """Whether a prompt ends inside a reasoning block that the template opened."""
    return markers is not None and prompt_text.rstrip().endswith(markers.open.rstrip())


@dataclass(frozen=True, kw_only=True)
class Split:
    """A reply's two parts. `unclosed`: the reasoning block never ended, so there is no reply."""

    reply: str
    reasoning: str = ""
    unclosed: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    """Where the blocks are in the raw text, markers included."""


def split(raw: str, markers: Markers | None, *, opened: bool = False) -> Split:
    """Takes the reasoning out of a raw reply. `opened`: the prompt already opened the block.

    Complete blocks count wherever they are. A block that is never closed takes everything after it, unless visible text
    precedes it: a story may mention a tag. A closing marker without an opening one ends a block that began with the
    reply.
    """
    if markers is None:
        return Split(reply=raw)
    spans, unclosed = _blocks(raw, markers, opened)
    thoughts, visible, at = [], [], 0
    for start, end in spans:
        visible.append(raw[at:start])
        thoughts.append(raw[start:end].removeprefix(markers.open).removesuffix(markers.close).strip())
        at = end
    visible.append(raw[at:])
    reply = "".join(visible)
    if markers.lead and reply.lstrip().startswith(markers.lead):
        reply = reply.lstrip().removeprefix(markers.lead)
    if spans:
        reply = reply.lstrip()
    return Split(reply=reply, reasoning="\n\n".join(t for t in thoughts if t), unclosed=unclosed, spans=tuple(spans))


def _blocks(raw: str, markers: Markers, opened: bool) -> tuple[list[tuple[int, int]], bool]:
    """Spans of the reasoning blocks, and whether the last one never closes."""
    spans: list[tuple[int, int]] = []
    at = 0
    close = raw.find(markers.close)
    if opened or 0 <= close < (raw.find(markers.open) % (len(raw) + 1)):
        if close < 0:
            return [(0, len(raw))], True
        at = close + len(markers.close)
        spans.append((0, at))
    while (start := raw.find(markers.open, at)) >= 0:
        close = raw.find(markers.close, start)
        if close < 0:
            seen = "".join(
                raw[a:b] for a, b in zip([0, *(e for _, e in spans)], [*(s for s, _ in spans), start], strict=True)
            )
            return (spans, False) if seen.strip() else ([*spans, (start, len(raw))], True)
        at = close + len(markers.close)
        spans.append((start, at))
    return spans, False


def written_text(ids: Sequence[int], text: str, markers: Markers | None, tokenizer: Tokenizer) -> str:
    """`text`, which is the engine's text of `ids` up to a stop string, with the markers written out.

    Markers that are control tokens have no text of their own, and templates and `split` look for their written form.
    """
    if markers is None or not _hidden(markers, tokenizer):
        return text
    whole = _mark(list(ids), markers, tokenizer)
    plain = tokenizer.detokenize(list(ids))
    missing = len(plain) - len(text) if plain.startswith(text) else 0
    return whole[: len(whole) - missing] if missing else whole


def _hidden(markers: Markers, tokenizer: Tokenizer) -> bool:
    return any(special in markers.open + markers.close for special in tokenizer.special_texts if special)


def _mark(ids: list[int], markers: Markers, tokenizer: Tokenizer) -> str:
    """The text of ids, with each marker written out where its ids are."""
    parts: list[str] = []
    at = start = 0
    written = [(tokenizer.tokenize(m, parse_special=True), m) for m in (markers.close, markers.open, markers.lead) if m]
    while at < len(ids):
        here = next(((w, m) for w, m in written if w and ids[at : at + len(w)] == w), None)
        if here is None:
            at += 1
            continue
        marker_ids, marker = here
        parts += [tokenizer.detokenize(ids[start:at]), marker]
        at = start = at + len(marker_ids)
    return "".join([*parts, tokenizer.detokenize(ids[start:])])


def reasoning_tokens(ids: Sequence[int], parts: Split, markers: Markers | None, tokenizer: Tokenizer) -> int:
    """How many of a reply's tokens are in its reasoning blocks, markers included."""
    if markers is None or not parts.spans:
        return 0
    marked = _hidden(markers, tokenizer)
    counts = range(len(ids) + 1)

    def chars(count: int) -> int:
        taken = list(ids[:count])
        return len(_mark(taken, markers, tokenizer) if marked else tokenizer.detokenize(taken))

    def tokens(char: int) -> int:
        return min(bisect_left(counts, char, key=chars), len(ids))

    return sum(tokens(end) - tokens(start) for start, end in parts.spans)
