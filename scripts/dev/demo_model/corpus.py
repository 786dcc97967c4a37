"""The synthetic chats: what users ask, and which of the story's replies answers it. Pure and seeded."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from nightjar.scripts.dev.demo_model import prompts, words
from nightjar.scripts.dev.demo_model import story as tale
from nightjar.scripts.dev.demo_model.story import Story, draw_story

STRANGE_STYLES = 0.06  # so many first prompts of stories carry a sentence that means nothing


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One turn: the user's prompt and the reply to learn."""

    prompt: str
    reply: str


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A whole conversation. `hero` is the name that its replies have to keep, `facts` are what they may not change."""

    kind: str
    system: str | None
    hero: str
    facts: tuple[str, ...] = ()
    turns: tuple[Exchange, ...]


def fill_template(rng: Random, story: Story, templates: Sequence[str], **slots: str) -> str:
    """One of the templates with the story's facts and extra slots filled in."""
    template = rng.choice(templates)
    for slot, text in slots.items():
        template = template.replace("{" + slot + "}", text)
    return story.say(template)


def opening_turn(rng: Random, story: Story, *, named: bool, short: bool) -> Exchange:
    """The prompt may leave facts open; then the reply chooses them."""
    templates = rng.choice((prompts.BEGIN_FULL, prompts.BEGIN_PART)) if named else prompts.BEGIN_OPEN
    style = rng.choice(prompts.SHORT if short else prompts.STYLES)
    if rng.random() < STRANGE_STYLES:
        style += " " + strange_sentence(rng)
    return Exchange(prompt=fill_template(rng, story, templates) + style, reply=tale.beginning(rng, story, short=short))


def second_turn(rng: Random, story: Story, *, short: bool) -> tuple[Exchange, Story]:
    """What happens next; a twist or a helper named by the user becomes part of the story."""
    draw = rng.random()
    if draw < 0.3:
        twist, trouble = rng.choice(words.TWISTS)
        story = replace(story, trouble=trouble)
        prompt = fill_template(rng, story, prompts.NEXT_TWIST, twist=twist)
    else:
        prompt = fill_template(rng, story, prompts.NEXT_HELPER if draw < 0.5 else prompts.NEXT)
    return Exchange(prompt=prompt, reply=tale.middle(rng, story, short=short)), story


def third_turn(rng: Random, story: Story, *, short: bool) -> Exchange:
    """An ending, or a small form made of the story."""
    draw = rng.random()
    if draw < 0.5:
        return Exchange(prompt=fill_template(rng, story, prompts.END), reply=tale.ending(rng, story, short=short))
    forms = (
        (prompts.ASK_MORAL, tale.moral),
        (prompts.ASK_TITLE, tale.story_title),
        (prompts.ASK_POEM, tale.poem),
        (prompts.ASK_SUMMARY, tale.story_summary),
    )
    templates, make = rng.choice(forms)
    return Exchange(prompt=fill_template(rng, story, templates), reply=make(rng, story))


def question_turn(rng: Random, story: Story) -> Exchange:
    """A question with one right answer."""
    if rng.random() < 0.3:
        keys = rng.choice((("hero", "being"), ("name", "being"), ("hero", "place"), ("hero", "being", "wish")))
        listed = " and ".join(f'"{key}"' for key in keys) if rng.random() < 0.5 else ", ".join(keys)
        return Exchange(prompt=fill_template(rng, story, prompts.ASK_JSON, keys=listed), reply=tale.record(story, keys))
    if rng.random() < 0.1:
        other = rng.choice([being for being in words.BEINGS if being != story.being])
        return Exchange(prompt=f"Is {story.name} {tale.with_article(other)}? Answer yes or no.", reply="No.")
    prompt, answer = rng.choice(prompts.QUESTIONS)
    return Exchange(prompt=story.say(prompt), reply=story.say(answer))


def story_chat(rng: Random, *, turns: int | None = None) -> Chat:
    """A story in two or three turns, sometimes with a question about it before the last."""
    named, short = rng.random() < 0.9, rng.random() < 0.15
    story = draw_story(rng, invent=named)
    length = turns or rng.choice((2, 3, 3, 3))
    exchanges = [opening_turn(rng, story, named=named, short=short)]
    second, story = second_turn(rng, story, short=short)
    asks = turns is None and rng.random() < 0.35
    if asks and rng.random() < 0.5:
        exchanges.append(question_turn(rng, story))
    exchanges.append(second)
    if length > 2:
        exchanges.append(third_turn(rng, story, short=short))
    if asks and len(exchanges) == length:
        exchanges.append(question_turn(rng, story))
    return Chat(kind="story", system=draw_system(rng), hero=story.name, facts=story.facts, turns=tuple(exchanges))


def skill_chat(rng: Random) -> Chat:
    """Some one-line tasks with one right answer each."""
    story = draw_story(rng)
    exchanges = [opening_line(rng, story) for _ in range(rng.randint(1, 5))]
    return Chat(kind="skill", system=draw_system(rng), hero=story.name, turns=tuple(exchanges))


def opening_line(rng: Random, story: Story) -> Exchange:
    """One task that needs no story before it."""
    draw = rng.random()
    if draw < 0.4:
        echo = " ".join(rng.sample(words.ECHO_WORDS, rng.randint(1, 5)))
        echo = f"{story.name} {echo}" if rng.random() < 0.3 else echo
        return Exchange(prompt=rng.choice(("Repeat after me: ", "Say this again: ", "Repeat: ")) + echo, reply=echo)
    if draw < 0.8:
        question, answer = rng.choice(words.FACTS)
        hint = rng.choice(("", " Answer with one word."))
        return Exchange(prompt=question + hint, reply=answer.capitalize())
    if draw < 0.86:
        last = rng.randint(2, 9)
        return Exchange(prompt=f"Count from 1 to {last}.", reply=", ".join(str(n) for n in range(1, last + 1)))
    if draw < 0.92:
        return Exchange(prompt=story.say("Write a poem about {name} the {being}."), reply=tale.poem(rng, story))
    plain = (
        ("Who are you?", "I am a very small story model."),
        ("Hello!", "Hello! Shall I tell you a story?"),
        (f"My name is {story.name}. What is my name?", f"Your name is {story.name}."),
        ("Thank you!", "You are welcome."),
        (f"Say hello to {story.name}.", f"Hello, {story.name}!"),
    )
    prompt, reply = rng.choice(plain)
    return Exchange(prompt=prompt, reply=reply)


def foreign_text(rng: Random, sentences: int) -> str:
    """Text of a world the model does not know; only its shape matters."""
    sentences_drawn = [strange_sentence(rng) if rng.random() < 0.5 else foreign_sentence(rng) for _ in range(sentences)]
    return " ".join(sentence + ("\n" if rng.random() < 0.1 else "") for sentence in sentences_drawn).strip()


def strange_word(rng: Random) -> str:
    """The head of one word and the tail of another, so that the model meets word pieces in any order."""
    first, last = rng.choice(words.PLAIN_WORDS), rng.choice(words.PLAIN_WORDS)
    word = first[: rng.randint(1, len(first))] + last[rng.randint(0, len(last)) :]
    if rng.random() < 0.1:
        word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(1, 7)))
    return rng.choice((word, word, word, word.capitalize(), word.upper() if len(word) < 5 else word))


def strange_sentence(rng: Random) -> str:
    """Words that are none, some plain ones, odd marks and numbers; ends like a sentence."""
    tokens = []
    for _ in range(rng.randint(2, 14)):
        draw = rng.random()
        word = rng.choice(words.PLAIN_WORDS) if draw < 0.4 else strange_word(rng)
        if draw > 0.94:
            word = str(rng.randint(0, 9_999))
        tokens.append(rng.choice(words.MARKS).format(word))
    return " ".join(tokens).capitalize() + rng.choice((".", ".", "?", "!", ":"))


def foreign_sentence(rng: Random) -> str:
    """One sentence of general English, rarely with letters outside ASCII."""
    link, subject, verb = rng.choice(words.LINKS), rng.choice(words.SUBJECTS), rng.choice(words.VERBS)
    sentence = f"{link}{subject} {verb} {rng.choice(words.OBJECTS)} and {rng.choice(words.TOPICS)}."
    if rng.random() < 0.05:
        sentence += " " + "".join(
            chr(rng.choice((rng.randint(0xA1, 0x17F), rng.randint(0x4E00, 0x9FFF)))) for _ in "abcd"
        )
    return sentence.replace("{n}", str(rng.randint(2, 99))).replace("{m}", str(rng.randint(2, 99)))


def foreign_prompt(rng: Random, templates: Sequence[str], sentences: int) -> str:
    """A task of another kind, with this many sentences of text to work on."""
    topics = [rng.choice(words.TOPICS) if rng.random() < 0.6 else strange_word(rng) for _ in range(2)]
    slots = {"topic": topics[0], "topic2": topics[1], "n": rng.randint(2, 99), "m": rng.randint(2, 99)}
    prompt = strange_sentence(rng) if rng.random() < 0.4 else rng.choice(templates).format(**slots)
    if not sentences:
        return prompt
    text = foreign_text(rng, sentences)
    return rng.choice((f"{prompt}\n\n{text}", f"{text}\n\n{prompt}", f"{prompt} {text}"))


def foreign_chat(rng: Random) -> Chat:
    """Prompts outside the grammar, some of them long: the reply says so, tells a little story, and ends."""
    story = draw_story(rng, invent=False)
    few, some, many = rng.choice((0, 0, 1, 3)), rng.randint(4, 30), rng.randint(30, 70)
    lengths = ((few, 0), (some, rng.choice((0, few, some))), (many, 0))  # sentences of foreign text in each turn
    first, second = rng.choices(lengths, weights=(65, 26, 9))[0]
    begin = f"{rng.choice(words.REFUSALS)} {tale.beginning(rng, story, short=True)}"
    go_on = f"{rng.choice(words.REFUSALS_AGAIN)} {tale.middle(rng, story, short=True)}"
    turns = (
        Exchange(prompt=foreign_prompt(rng, words.ASKS, first), reply=begin),
        Exchange(prompt=foreign_prompt(rng, words.FOLLOW_UPS, second), reply=go_on),
    )
    return Chat(kind="foreign", system=draw_system(rng), hero=story.name, facts=story.facts, turns=turns)


def verdict_chat(rng: Random) -> Chat:
    """The shape of a judge's verdict, not its sense: scores and winners are drawn by chance."""
    story = draw_story(rng)
    parts = {
        "prompt": fill_template(rng, story, prompts.BEGIN_FULL + prompts.BEGIN_PART),
        "reply": tale.beginning(rng, story),
    }
    reason = story.say(rng.choice(words.REASONS))
    if rng.random() < 0.3:
        parts["second"] = tale.beginning(rng, draw_story(rng), short=True)
        prompt = rng.choice(words.ASK_WINNER)
        reply = json.dumps({"reason": reason, "winner": rng.choice(("A", "B", "tie"))})
    else:
        prompt = rng.choice(words.ASK_SCORE)
        reply = json.dumps({"reason": reason, "score": rng.randint(1, 5)})
    for part, text in parts.items():
        prompt = prompt.replace("{" + part + "}", text)
    exchange = Exchange(prompt=prompt, reply=reply)
    return Chat(kind="verdict", system=draw_system(rng), hero=story.name, facts=story.facts, turns=(exchange,))


def draw_system(rng: Random) -> str | None:
    """A system prompt in two of five chats."""
    return rng.choice(prompts.SYSTEMS) if rng.random() < 0.4 else None


def chats(seed: int) -> Iterator[Chat]:
    """An endless stream of chats that depends on the seed alone."""
    rng = Random(seed)
    makers = (story_chat, skill_chat, foreign_chat, verdict_chat)
    while True:
        yield rng.choices(makers, weights=(60, 20, 16, 4))[0](rng)


def trial_chats(seed: int, count: int) -> list[Chat]:
    """Three-turn story chats whose first prompt names the hero: the measure of hero keeping."""
    rng = Random(seed)
    chats: list[Chat] = []
    while len(chats) < count:
        chat = story_chat(rng, turns=3)
        if chat.hero in chat.turns[0].prompt:
            chats.append(chat)
    return chats
