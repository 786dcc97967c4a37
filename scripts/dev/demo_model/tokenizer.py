"""A byte-level BPE whose merges never cross a class of characters.

llama.cpp and the tokenizers library split text with the same expression but not with the same Unicode tables. No merge
here joins letters with anything else than one leading space, nor digits, quotes, line ends or bytes beyond ASCII, so
that a different opinion about a rare character changes no id.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.scripts.dev.demo_model.corpus import Chat
from nightjar.scripts.dev.demo_model.extras import training_package

VOCABULARY = 2048
TOKENIZER_CHATS = 4_000  # so many chats are enough to see every word of the grammar often
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = (PAD, START, END)  # ids 0, 1, 2
# The pieces that merges may fill: a word or a run of signs, each with a leading space; anything else stands alone.
PIECE = r" ?[A-Za-z]+| ?[!-&(-/:-@\[-`{-~]+|[\s\S]"


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A chat's token ids, and the weight of each id as a thing to predict (0 for what the user wrote)."""

    ids: list[int]
    weights: list[float]


def train_tokenizer(texts: Iterable[str]) -> Any:
    """A `tokenizers.Tokenizer` with the full byte alphabet; characters beyond ASCII are not learned from."""
    tk = training_package("tokenizers")
    byte_level = tk.pre_tokenizers.ByteLevel
    tokenizer = tk.Tokenizer(tk.models.BPE())
    pieces = tk.pre_tokenizers.Split(tk.Regex(PIECE), "isolated")
    tokenizer.pre_tokenizer = tk.pre_tokenizers.Sequence([pieces, byte_level(add_prefix_space=False, use_regex=False)])
    trainer = tk.trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(CONTROL),
        initial_alphabet=sorted(byte_level.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.encode("ascii", "ignore").decode() for text in texts), trainer)
    tokenizer.pre_tokenizer = byte_level(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = tk.decoders.ByteLevel()
    return tokenizer


def texts_of(chats: Iterable[Chat]) -> Iterator[str]:
    """All text of the chats, message by message, with the words of the template."""
    for chat in chats:
        yield "system\n" + (chat.system or "")
        for turn in chat.turns:
            yield "user\n" + turn.prompt
            yield "assistant\n" + turn.reply


def encode_chat(tokenizer: Any, chat: Chat, *, copy_weight: float = 1.0, answer_weight: float = 1.0) -> Encoded:
    """Render the chat as ChatML. Replies and their end-of-turn weigh 1, those of one-line tasks `answer_weight`; facts
    that a reply takes from what was said before weigh `copy_weight` times as much.
    """
    ids: list[int] = []
    weights: list[float] = []
    so_far = ""
    base = answer_weight if chat.kind == "skill" else 1.0

    def add(text: str, new_weights: Sequence[float] | None = None) -> None:
        new_ids = tokenizer.encode(text).ids
        ids.extend(new_ids)
        weights.extend(new_weights or [0.0] * len(new_ids))

    if chat.system is not None:
        add(f"{START}system\n{chat.system}{END}\n")
    for turn in chat.turns:
        add(f"{START}user\n{turn.prompt}{END}\n{START}assistant\n")
        so_far += turn.prompt + "\n"
        copied = copied_spans(so_far, turn.reply, chat.facts)
        offsets = tokenizer.encode(turn.reply).offsets
        add(turn.reply, [base * (copy_weight if touches(span, copied) else 1.0) for span in offsets])
        add(END, [base])
        add("\n")
        so_far += turn.reply + "\n"
    return Encoded(ids=ids, weights=weights)


def copied_spans(so_far: str, reply: str, facts: Iterable[str]) -> list[tuple[int, int]]:
    """Where the reply repeats a fact that was said before, in an earlier message or in the reply itself."""
    spans = []
    for fact in facts:
        at = reply.find(fact)
        known = fact in so_far
        while at >= 0:
            if known:
                spans.append((at, at + len(fact)))
            known = True
            at = reply.find(fact, at + 1)
    return spans


def touches(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    """Whether a token's span overlaps one of the others."""
    return any(span[0] < end and start < span[1] for start, end in others)
