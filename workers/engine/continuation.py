"""Token ids of text that goes on from other text. Pure."""

from __future__ import annotations

from nightjar.workers.engine.request import Tokenizer


def continued(tokenizer: Tokenizer, text: str, *, parse_special: bool = True) -> list[int]:
    """Without the space that some tokenizers put before a beginning: tokenised after a line end, which is cut off.

    Where the line end joins with what follows, the text's own ids.
    """
    anchor = tokenizer.tokenize("\n", parse_special=False)
    both = tokenizer.tokenize("\n" + text, parse_special=parse_special)
    if both[: len(anchor)] == anchor:
        return both[len(anchor) :]
    return tokenizer.tokenize(text, parse_special=parse_special)
