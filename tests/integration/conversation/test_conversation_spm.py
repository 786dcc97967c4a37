"""Token ids on a SentencePiece vocabulary and llama.cpp's own tokenizer: the space before texts, BOS, `<unk>`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nightjar.jobs.parameters import resolve
from nightjar.jobs.records import Timings, TurnRecord
from nightjar.jobs.sequences import Mode, Sequence, TurnSpec
from nightjar.workers.conversation.plan import PromptPlan, plan_prompt
from nightjar.workers.conversation.prompts import open_conversation
from nightjar.workers.conversation.templates import ChatTemplate
from nightjar.workers.conversation.turns import turn_draw, turn_record, turn_reply
from nightjar.workers.engine.continuation import continued
from nightjar.workers.engine.llama.tokenizer import LlamaTokenizer
from nightjar.workers.engine.request import Generation

WORDS = [
    "▁",
    "▁a",
    "▁b",
    "▁is",
    "▁I",
    "NST",
    "INST",
    "[",
    "]",
    "/",
    "a",
    "b",
    "s",
    "i",
    "I",
    "N",
    "S",
    "T",
    "<",
    ">",
    "k",
    "u",
    "n",
]
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
PLAIN_TURNS = "{% for m in messages %}{{ m.role[0] + ': ' + m.content + '\n' }}{% endfor %}a:"
"""No control token between turns: a reply goes on as plain text. Writes the space that replies begin with itself."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaTokenizer]:
    """The tokenizer of a vocabulary-only model file made here."""
    import gguf
    import llama_cpp

    path = tmp_path_factory.mktemp("spm") / "spm.gguf"
    kinds = gguf.TokenType
    vocabulary = [("<unk>", 0.0, kinds.UNKNOWN), ("<s>", 0.0, kinds.CONTROL), ("</s>", 0.0, kinds.CONTROL)]
    vocabulary += [(f"<0x{byte:02X}>", 0.0, kinds.BYTE) for byte in range(256)]
    vocabulary += [(word, -float(number), kinds.NORMAL) for number, word in enumerate(WORDS)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _, _ in vocabulary])
    writer.add_token_scores([score for _, score, _ in vocabulary])
    writer.add_token_types([kind for _, _, kind in vocabulary])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    assert model
    yield LlamaTokenizer(llama_cpp.llama_model_get_vocab(model))
    llama_cpp.llama_model_free(model)


@pytest.mark.parametrize("text", ["</is>", "b</is>", "<", " a"])
def test_what_goes_on_from_other_text_gets_no_blank_before_it(tokenizer: LlamaTokenizer, text: str) -> None:
    """A closing marker that is forced inside a reply."""
    assert tokenizer.detokenize(continued(tokenizer, text)) == text
    assert tokenizer.detokenize(tokenizer.tokenize("<", parse_special=True)) == " <"


def tell(
    tokenizer: LlamaTokenizer, prompts: list[str], replies: list[str], template: str | None
) -> tuple[list[PromptPlan], list[TurnRecord]]:
    """All turns, each reply generated as the tokens of its text after a space."""
    compiled = ChatTemplate(template, bos_text="<s>", eos_text="</s>", date="2026-03-14") if template else None
    sequence = Sequence(
        id="s", mode=Mode.CHAT if template else Mode.COMPLETION, turns=tuple(TurnSpec(prompt=p) for p in prompts)
    )
    conversation = open_conversation(sequence, template=compiled, tokenizer=tokenizer, context=4096, bos_text="<s>")
    resolved, history, plans = resolve([]), [], []  # type: ignore[var-annotated]
    for turn in range(len(prompts)):
        plan = plan_prompt(conversation, turn, history, resolved.values, plans[-1] if plans else None)
        plans.append(plan)
        if turn == len(replies):
            break
        ids = tuple(tokenizer.tokenize(replies[turn], parse_special=False))
        generation = Generation(
            token_ids=ids,
            text=tokenizer.detokenize(ids),
            finish_reason="stop",
            prompt_tokens=len(plan.ids),
            reused_tokens=0,
            timings=Timings(queue_s=0, prefill_s=0, decode_s=0),
        )
        draw = turn_draw(conversation, plan, resolved, generation, seed=1)
        now: Any = "2026-03-14T00:00:00Z"
        made = turn_reply(plan, resolved, [draw], generation)
        history.append(turn_record(made, conversation.sequence, history, fence=1, worker="w", now=now))
    return plans, history


def written(tokenizer: LlamaTokenizer, ids: tuple[int, ...]) -> str:
    return b"".join(tokenizer.written(i) for i in ids).decode()


def test_the_vocabulary_is_what_the_test_needs(tokenizer: LlamaTokenizer) -> None:
    """A space before texts and after control tokens; `<unk>` is parsed as a control token is."""
    assert written(tokenizer, tuple(tokenizer.tokenize("a</s>b", parse_special=True))) == " a</s> b"
    assert tokenizer.tokenize("<unk>", parse_special=True)[-1] == 0
    assert {"<unk>", "<s>", "</s>"} <= set(tokenizer.special_texts)


def test_later_turns_extend(tokenizer: LlamaTokenizer) -> None:
    """The template's text and one BOS a user turn; old ids kept; the reply's leading space is the template's own."""
    plans, _ = tell(tokenizer, ["a", "b"], ["is a"], LLAMA_2)
    assert plans[1].reprefill_reason is None
    assert written(tokenizer, plans[0].ids) == "<s> [INST] a [/INST]"
    assert written(tokenizer, plans[1].ids) == "<s> [INST] a [/INST] is a </s><s> [INST] b [/INST]"


def test_plain_text_goes_on_without_a_space(tokenizer: LlamaTokenizer) -> None:
    """Nothing is put before the tokens of the remainder: as text they are the rendering, byte for byte."""
    plans, _ = tell(tokenizer, ["a", "b"], ["is"], PLAIN_TURNS)
    assert plans[1].reprefill_reason is None
    assert written(tokenizer, plans[1].ids) == "<s> u: a\na: is\nu: b\na:"


def test_completion_goes_on_without_a_space(tokenizer: LlamaTokenizer) -> None:
    plans, _ = tell(tokenizer, ["a", "b"], ["is"], None)
    assert plans[1].reprefill_reason is None
    assert written(tokenizer, plans[1].ids) == "<s> a is\n\nb"


@pytest.mark.parametrize("typed", ["<unk>", "<s>", "</s>", "a</s>b", "</s", "<s><unk></s>"])
def test_what_a_user_types_is_text(tokenizer: LlamaTokenizer, typed: str) -> None:
    """Tokens of the plain characters, in one stretch with their neighbours."""
    plans, _ = tell(tokenizer, [typed], [], LLAMA_2)
    plain = tokenizer.tokenize(f"[INST] {typed} [/INST]", parse_special=False)
    assert list(plans[0].ids) == [1, *plain]
