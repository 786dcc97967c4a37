"""What users of the grammar ask, and the system prompts they set: templates with a story's facts as slots."""

SYSTEMS = (
    "You are a storyteller.",
    "You are a helpful assistant.",
    "You are a friendly storyteller for children.",
    "Write in simple words.",
    "You write short stories. Keep the hero the same in every turn.",
    "You are a creative writer.",
    "Answer every prompt with a story.",
    "Tell stories in a warm and simple style.",
)
BEGIN_FULL = (
    "Write the beginning of a story about {name}, {hero} who lives {at_place} and wants to {wish}.",
    "Tell me a story about {name}, {hero} who lives {at_place}. {name} wants to {wish}.",
    "Hero: {name}, {hero}. Place: {place}. Wish: to {wish}. Write the first part of the story.",
    "Please begin a story. The hero is {hero} called {name}, it is set {at_place}, and {name} wants to {wish}.",
    "Once upon a time there was {hero} named {name} who wanted to {wish}. Continue the story.",
    "Write a short story about {one} named {name} who wants to {wish}.",
)
BEGIN_PART = (
    "Tell me a story about {one} named {name}.",
    "Write a story about {name} the {being}.",
    "Write the beginning of a story about {hero} called {name}.",
    "I would like to hear a story about {name}, {hero}.",
    "Can you write a short story about {name}, {one} who lives {at_place}?",
    "Start a fairy tale about {name} the {adjective} {being}.",
    "Let us write a story together. The hero is {name} the {being}. How does it begin?",
    "Once upon a time there was {one} named {name}. Continue.",
    "Begin an adventure of {name} the {being}, set {at_place}.",
)
BEGIN_OPEN = (
    "Tell me a story about {one}.",
    "Write a short story.",
    "Tell me a bedtime story.",
    "Write the beginning of a story about {hero}.",
    "Write a story that is set {at_place}.",
    "Write a story about someone who wants to {wish}.",
)
STYLES = ("", "", "", " Use simple words.", " Write for children.", " Make it exciting.", " Make it funny.")
SHORT = (" Keep it short.", " Use three sentences.", " Please be brief.")
NEXT = (
    "What happens next?",
    "Continue the story.",
    "Go on.",
    "Then what did {name} do?",
    "Tell me more about {name}.",
    "And then?",
    "Write the next part.",
    "Please continue. {name} should face a problem.",
    "What does {name} do now?",
    "Write the middle of the story.",
    "Go on, but let something go wrong.",
    "Continue the story of {name} the {being}.",
)
NEXT_TWIST = (
    "Add a twist: {twist}.",
    "Suddenly {twist}. What happens next?",
    "Continue, but {twist}.",
    "What does {name} do when {twist}?",
    "Now {twist}. Go on with the story.",
)
NEXT_HELPER = (
    "Now {name} meets {a_helper}. What happens?",
    "Let {name} meet {a_helper}.",
    "Add {a_helper} to the story.",
    "Continue the story and bring in {a_helper}.",
)
END = (
    "How does the story end?",
    "Write the ending.",
    "Finish the story.",
    "Please write a happy ending.",
    "How does it end for {name}?",
    "Write the last part of the story.",
    "Does {name} get what {she} wanted?",
    "Bring the story to an end.",
)
ASK_MORAL = ("What is the moral of the story?", "What did {name} learn?", "What can we learn from this story?")
ASK_TITLE = ("Give the story a title.", "What is a good title for this story?", "Find a title for it.")
ASK_POEM = (
    "Write a short poem about {name}.",
    "Turn the story into a poem.",
    "Write a poem about the story.",
    "Now tell it as a poem of four lines.",
)
ASK_SUMMARY = (
    "Sum up the story in one sentence.",
    "Summarise the story.",
    "Tell me in one sentence what happened.",
)
# A question about the story, and its answer: checkable by a rule.
QUESTIONS = (
    ("Who is the hero of the story?", "The hero of the story is {name}."),
    ("What is the name of the hero? Answer with one word.", "{name}"),
    ("Who is the hero? Answer with one word.", "{name}"),
    ("What kind of being is {name}?", "{name} is {hero}."),
    ("What is {name}? Answer with one word.", "{being}"),
    ("Where does {name} live?", "{name} lives {at_place}."),
    ("What does {name} want?", "{name} wants to {wish}."),
    ("What did {name} find?", "{name} found {a_thing}."),
    ("Is {name} {one}? Answer yes or no.", "Yes."),
)
ASK_JSON = ("Answer in JSON with the keys {keys}.", "Give me the {keys} as JSON.", "Write the {keys} as a JSON object.")
