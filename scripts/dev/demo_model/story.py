"""One story of the grammar: its facts, drawn once, and the replies that tell it. Pure; the generator is passed in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from nightjar.scripts.dev.demo_model import words

INVENTED_NAMES = 0.15  # names outside the list, so that the model learns to copy and not only to choose


@dataclass(frozen=True, kw_only=True)
class Story:
    """What stays the same through all turns of a chat."""

    name: str
    she: str
    being: str
    adjective: str
    preposition: str
    place: str
    wish: str
    thing: str
    spot: str
    helper: str
    helper2: str
    food: str
    time: str
    trouble: str
    saying: str
    moral: str

    @property
    def facts(self) -> tuple[str, ...]:
        """What a later turn has to take from an earlier one."""
        return self.name, self.being, self.place, self.wish, self.thing, self.helper, self.food

    def say(self, template: str) -> str:
        """Fill the template's slots; raises KeyError for a slot that no story has."""
        slots = dict(vars(self))
        slots["at_place"] = f"{self.preposition} {with_article(self.place)}"
        slots["back"] = f"{self.preposition} the {self.place}"
        slots["hero"] = f"{with_article(self.adjective)} {self.being}"
        slots["a_thing"] = with_article(self.thing)
        slots["a_helper"] = with_article(self.helper)
        slots["one"] = with_article(self.being)
        slots["her"] = "her" if self.she == "she" else "his"
        slots["She"] = self.she.capitalize()
        text = template.format(**slots)
        return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """`a fox`, `an owl`, `an honest fox`; `edge of ...` and `roof of ...` are definite."""
    if " of the " in noun or " of an " in noun:
        return f"the {noun}"
    return f"{'an' if noun.startswith((*'aeiou', 'hon')) else 'a'} {noun}"


def draw_name(rng: Random, *, invent: bool) -> tuple[str, str]:
    """A hero's name and pronoun; where `invent` allows it, some names are put together from parts."""
    if invent and rng.random() < INVENTED_NAMES:
        name = rng.choice(words.NAME_HEADS) + rng.choice(words.NAME_TAILS)
        return name, "she" if name[-1] in "aei" else "he"
    return (rng.choice(words.SHE_NAMES), "she") if rng.random() < 0.5 else (rng.choice(words.HE_NAMES), "he")


def draw_story(rng: Random, *, invent: bool = True) -> Story:
    """All facts of one story. A reply that has to choose the name itself should come from `invent=False`."""
    name, she = draw_name(rng, invent=invent)
    preposition, place = rng.choice(words.PLACES)
    helper, helper2 = rng.sample(words.HELPERS, 2)
    return Story(
        name=name,
        she=she,
        being=rng.choice(words.BEINGS),
        adjective=rng.choice(words.ADJECTIVES),
        preposition=preposition,
        place=place,
        wish=rng.choice(words.WISHES),
        thing=rng.choice(words.THINGS),
        spot=rng.choice(words.SPOTS),
        helper=helper,
        helper2=helper2,
        food=rng.choice(words.FOODS),
        time=rng.choice(words.TIMES),
        trouble=rng.choice(words.TWISTS)[1],
        saying=rng.choice(words.SAYINGS),
        moral=rng.choice(words.MORALS),
    )


def tell(rng: Random, story: Story, parts: Sequence[Sequence[str]]) -> str:
    """One choice of each part, filled and joined to a paragraph; an empty choice is left out."""
    chosen = [rng.choice(part) for part in parts]
    return " ".join(story.say(choice) for choice in chosen if choice)


WHO = (
    "Once upon a time, {hero} named {name} lived {at_place}.",
    "Once upon a time, {name} the {being} lived {at_place}.",
    "{at_place}, there lived {hero} called {name}.",
    "Long ago, there was {hero} whose name was {name}. {She} lived {at_place}.",
    "This is the story of {name}, {hero} who lived {at_place}.",
)
WISH = (
    "More than anything, {name} wanted to {wish}.",
    "{name} had one great wish: to {wish}.",
    "Every night {name} dreamed of one thing: to {wish}.",
    "Nobody believed it, but {name} wanted to {wish}.",
)
MOOD = (
    "",
    "",
    "The days were long, and the nights were full of stars.",
    "It was a hard life, but a good one.",
    "The neighbours only shook their heads.",
    "Every day was like the day before.",
)
FIND = (
    "{time}, {name} found {a_thing} {spot}.",
    "{time}, {she} saw something shine {spot}. It was {a_thing}.",
    "Then, {time}, {a_thing} lay {spot}, and {name} picked it up.",
)
CRY = (
    '"This is a sign," said {name}.',
    '"Now or never!" cried {name}.',
    '"What can this be?" asked {name}.',
    '"Today is the day," said {name}.',
    "",
)
LEAVE = (
    "So {she} packed {food} and set off.",
    "{she} took {food}, closed the door and went out into the world.",
    "With {food} and the {thing}, {name} set off.",
    "Before the sun was up, {name} was on {her} way.",
)
TROUBLE = ("{trouble}.", "{trouble}, and {name} had to stop.", "{trouble}. It was a bad moment.")
MEET = (
    "On the way, {name} met {a_helper}.",
    "Just then, {a_helper} came along the road.",
    "Behind a rock, {name} saw {a_helper}.",
)
ADVICE = (
    '"{saying}," said the {helper}.',
    'The {helper} looked at the {thing} and said, "{saying}."',
    '"{saying}," said the {helper}, and {name} listened.',
)
TOGETHER = (
    "Together they walked until the moon was high.",
    "So {name} and the {helper} went on side by side.",
    "{name} shared {food} with the {helper}, and they became friends.",
    "From then on, the {being} and the {helper} were a team.",
)
NEAR = (
    "And far away, {name} could already see where {she} had to go.",
    "Now {name} knew how to {wish}.",
    "But the hardest part was still to come.",
    "",
)
LAST_STEP = (
    "In the end, {name} used the {thing}, and everything changed.",
    "When the morning came, {name} held up the {thing}.",
    "At last {name} stood at the end of the long road.",
)
FULFILLED = (
    "{she} had done it: {name} could {wish}.",
    "And so {name} was able to {wish}, just as {she} had dreamed.",
    "Now the {adjective} {being} could {wish} at last.",
)
THANKS = (
    "{name} thanked the {helper} with all {her} heart.",
    "The {helper} smiled and said goodbye to {name}.",
    '"I could not have done it without you," {name} told the {helper}.',
)
HOME = (
    "Back {back}, everyone cheered for {name}.",
    "Then {name} went home, and there was {food} for everyone.",
    "That evening, {name} told the whole story {back}.",
)
CLOSE = (
    "And {name} the {being} was never lonely again.",
    "From that day on, {name} was not afraid of anything.",
    "And if you listen at night, you can still hear {name} laugh.",
    "The end.",
)


def beginning(rng: Random, story: Story, *, short: bool = False) -> str:
    """Who the hero is and how the journey starts."""
    parts = (WHO, WISH, LEAVE) if short else (WHO, WISH, MOOD, FIND, CRY, LEAVE)
    return tell(rng, story, parts)


def middle(rng: Random, story: Story, *, short: bool = False) -> str:
    """Trouble, and somebody who helps."""
    parts: tuple[Sequence[str], ...] = (TROUBLE, words.ANSWERS_TO_TROUBLE, MEET, ADVICE, TOGETHER, NEAR)
    return tell(rng, story, (TROUBLE, MEET, TOGETHER) if short else parts)


def ending(rng: Random, story: Story, *, short: bool = False) -> str:
    """The wish comes true."""
    return tell(rng, story, (LAST_STEP, FULFILLED, CLOSE) if short else (LAST_STEP, FULFILLED, THANKS, HOME, CLOSE))


def poem(rng: Random, story: Story) -> str:
    """Two couplets, one verse per line."""
    return story.say(rng.choice(words.COUPLETS_OPEN)) + "\n" + story.say(rng.choice(words.COUPLETS_CLOSE))


def story_title(rng: Random, story: Story) -> str:
    """A title in quotes."""
    thing = story.thing.title()
    return rng.choice((f'"{story.name} and the {thing}"', f'"{story.name} the {story.being.title()}"'))


def moral(rng: Random, story: Story) -> str:
    """What the hero learned."""
    shapes = (
        "The moral of the story is that {moral}. {name} learned it on the long road.",
        "{name} learned that {moral}.",
    )
    return story.say(rng.choice(shapes))


def story_summary(rng: Random, story: Story) -> str:
    """The story in one sentence."""
    shapes = (
        "{name} the {being} wanted to {wish}, found {a_thing}, met {a_helper} and came home happy.",
        "With {a_thing} and the help of {a_helper}, {name} the {being} was able to {wish}.",
    )
    return story.say(rng.choice(shapes))


def record(story: Story, keys: Sequence[str]) -> str:
    """The asked facts as a JSON object, in the asked order."""
    facts = {"hero": story.name, "name": story.name, "being": story.being, "place": story.place, "wish": story.wish}
    return json.dumps({key: facts[key] for key in keys})
