"""Measuring a finished file with real llama.cpp: do replies end, is the hero kept, are small questions answered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from nightjar.scripts.dev.demo_model import prompts
from nightjar.scripts.dev.demo_model.corpus import Chat, Exchange, foreign_chat, skill_chat, trial_chats
from nightjar.scripts.dev.demo_model.extras import training_package
from nightjar.scripts.dev.demo_model.story import draw_story
from nightjar.scripts.dev.demo_model.tokenizer import CONTROL, END

TRIAL_SEED = 77_000_001  # never a training seed
REPLY_TOKENS = 256
MODEL_SEED = 7


@dataclass(frozen=True, kw_only=True)
class PlayedReply:
    """What the model said; `ended` is False where it ran into the token limit."""

    text: str
    ended: bool
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Counts over one set of chats."""

    replies: int
    ended: int
    chats: int
    chats_ended: int
    kept_in_second: int
    kept_in_third: int
    kept_in_both: int
    exact: int
    longest_tokens: int


class Talker:
    """One conversation at a time with a GGUF file; greedy at temperature 0."""

    def __init__(self, path: Path, *, temperature: float = 0.0) -> None:
        # By name, as all optional packages here: this script measures the file by itself, apart from the engine.
        llama_cpp = training_package("llama_cpp")
        self.temperature = temperature
        self.model: Any = llama_cpp.Llama(
            model_path=str(path), n_ctx=0, n_threads=1, n_threads_batch=1, seed=MODEL_SEED, verbose=False
        )
        self.end = CONTROL.index(END)

    def prompt_ids(self, messages: Iterable[tuple[str, str]]) -> list[int]:
        """ChatML ids; control tokens come from the template only, never from what somebody typed."""
        ids: list[int] = []
        for role, content in messages:
            ids += self.ids(f"<|im_start|>{role}\n", special=True) + self.ids(content, special=False)
            ids += self.ids("<|im_end|>\n", special=True)
        return ids + self.ids("<|im_start|>assistant\n", special=True)

    def ids(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a piece of text."""
        token_ids: list[int] = self.model.tokenize(text.encode(), add_bos=False, special=special)
        return token_ids

    def reply(self, messages: Iterable[tuple[str, str]]) -> PlayedReply:
        """The next reply, at most REPLY_TOKENS long."""
        reply_ids: list[int] = []
        for token in self.model.generate(self.prompt_ids(messages), temp=self.temperature, top_k=40, top_p=0.95):
            if token == self.end or len(reply_ids) == REPLY_TOKENS:
                break
            reply_ids.append(token)
        text = self.model.detokenize(reply_ids).decode(errors="replace")
        return PlayedReply(text=text, ended=len(reply_ids) < REPLY_TOKENS, tokens=len(reply_ids))

    def play(self, system: str | None, prompts: Sequence[str]) -> list[PlayedReply]:
        """All turns of a chat, each on top of the replies before it."""
        messages = [] if system is None else [("system", system)]
        replies = []
        for prompt in prompts:
            messages.append(("user", prompt))
            replies.append(self.reply(messages))
            messages.append(("assistant", replies[-1].text))
        return replies


def measure_chats(talker: Talker, chats: Sequence[Chat]) -> Measured:
    """Play the chats' prompts and count."""
    return figures_of(chats, [talker.play(chat.system, [turn.prompt for turn in chat.turns]) for chat in chats])


def figures_of(chats: Sequence[Chat], played: Sequence[Sequence[PlayedReply]]) -> Measured:
    """The figures of chats already played, in the same order."""
    replies = [reply for chat_replies in played for reply in chat_replies]
    kept = [[chat.hero in reply.text for reply in said] for chat, said in zip(chats, played, strict=True)]
    expected = [turn.reply for chat in chats for turn in chat.turns]
    return Measured(
        replies=len(replies),
        ended=sum(reply.ended for reply in replies),
        chats=len(chats),
        chats_ended=sum(all(reply.ended for reply in chat_replies) for chat_replies in played),
        kept_in_second=sum(all(chat_replies[1:2]) for chat_replies in kept),
        kept_in_third=sum(all(chat_replies[2:3]) for chat_replies in kept),
        kept_in_both=sum(all(chat_replies[1:3]) for chat_replies in kept),
        exact=sum(reply.text == right for reply, right in zip(replies, expected, strict=True)),
        longest_tokens=max(reply.tokens for reply in replies),
    )


def question_chats(seed: int, count: int) -> list[Chat]:
    """A story whose first prompt states every fact, then questions with one right answer: `exact` tells how many."""
    rng, chats = Random(seed), []
    for _ in range(count):
        story = draw_story(rng)
        begin = Exchange(prompt=story.say(prompts.BEGIN_FULL[0]), reply="")
        asked = [Exchange(prompt=story.say(ask), reply=story.say(right)) for ask, right in prompts.QUESTIONS[:7]]
        turns = (begin, *rng.sample(asked, 3))
        chats.append(Chat(kind="questions", system=None, hero=story.name, turns=turns))
    return chats


def report(path: Path) -> str:
    """The figures of the model card, one per line."""
    talker, rng = Talker(path), Random(TRIAL_SEED)
    skills = [skill_chat(rng) for _ in range(40)]
    foreign = [foreign_chat(rng) for _ in range(40)]
    sets = {"stories, greedy": trial_chats(TRIAL_SEED, 50), "skills, greedy": skills, "foreign, greedy": foreign}
    sets["questions, greedy"] = question_chats(TRIAL_SEED, 40)
    lines = [f"{name}: {measure_chats(talker, chats)}" for name, chats in sets.items()]
    sampled = measure_chats(Talker(path, temperature=0.7), trial_chats(TRIAL_SEED, 50))
    return "\n".join([*lines, f"stories, temperature 0.7: {sampled}"])
