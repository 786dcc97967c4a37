"""The demo model's word lists: plain data that `story.py` and `corpus.py` put into sentences."""

SHE_NAMES = (
    "Mira Luna Nora Tilda Ada Greta Ivy Hazel Juno Wilma Rosa Sofie Pia Elsa Clara Freya Ruby Dora Stella Olive "
    "Maya Zoe Lotte Anouk Yuki Amara Leila Edda"
).split()
HE_NAMES = (
    "Bruno Otto Finn Hugo Milo Oskar Pip Toby Emil Jasper Rufus Felix Arlo Theo Nils Kasper Leo Bodo Samir Tariq "
    "Kenji Diego Marek Anton Barnaby Quill Ravi Ludo"
).split()
# Heads and tails of invented names. No tail is also a head: with syllables that may follow each other in any order the
# model learns to spell names without end.
NAME_HEADS = (
    "Bren Kal Mor Tav Sel Hul Jor Lin Fen Gar Vel Dor Pel Ruk Tam Nol Zor Wim Hal Ket Bal Mon Sar Til Rav Gus Per Lom"
).split()
NAME_TAILS = "ina ek or ella und is ika eth ild amo usta ora ente ulf ani eko isse orn adu ary".split()

BEINGS = (
    "fox rabbit hedgehog bear mouse otter badger squirrel owl frog duck goose cat dog pony goat sheep wolf deer mole "
    "beaver penguin dragon robot giant wizard knight sailor baker painter tailor gardener"
).split()
ADJECTIVES = (
    "little brave shy curious clever gentle sleepy cheerful lonely quiet young old kind proud tiny hungry patient "
    "stubborn dreamy honest"
).split()

PLACES = (
    ("in", "quiet forest"),
    ("on", "windy hill"),
    ("by", "cold blue lake"),
    ("in", "small village"),
    ("under", "old stone bridge"),
    ("on", "lonely island"),
    ("in", "tall lighthouse"),
    ("near", "deep green valley"),
    ("in", "snowy mountain hut"),
    ("beside", "slow river"),
    ("in", "busy harbour"),
    ("in", "dusty library"),
    ("at", "edge of the sea"),
    ("in", "hollow oak tree"),
    ("in", "golden wheat field"),
    ("behind", "red barn"),
    ("in", "castle garden"),
    ("in", "warm bakery"),
    ("on", "floating house"),
    ("in", "misty swamp"),
    ("under", "roof of an inn"),
    ("in", "desert town"),
    ("on", "small moon"),
    ("in", "glass tower"),
)
WISHES = (
    "find the lost moon",
    "learn to sing",
    "see the wide ocean",
    "build a flying boat",
    "bake the best bread",
    "make a true friend",
    "catch a falling star",
    "climb the highest mountain",
    "hear the song of the whales",
    "find a cure for the sick king",
    "bring back the rain",
    "paint the sunrise",
    "learn to read",
    "find the way home",
    "win the winter race",
    "open the locked door",
    "meet the queen of the bees",
    "plant a garden of lights",
    "dance with the wind",
    "find the sleeping giant",
    "learn to be brave",
    "mend the broken clock",
    "write a letter to the sun",
    "save the old bridge",
    "ride on a cloud",
    "cross the great desert",
)
THINGS = (
    "silver key",
    "torn map",
    "glass bottle",
    "blue feather",
    "golden bell",
    "wooden flute",
    "red lantern",
    "small mirror",
    "stone egg",
    "brass compass",
    "white shell",
    "green button",
    "old book",
    "paper boat",
    "copper ring",
    "magic seed",
    "long rope",
    "round pebble",
    "wool scarf",
    "tiny drum",
)
SPOTS = (
    "under a leaf",
    "in the grass",
    "behind the door",
    "at the foot of a tree",
    "in an empty nest",
    "between two stones",
    "on the doorstep",
    "at the bottom of a well",
    "in the snow",
    "near the path",
)
HELPERS = (
    "wise owl",
    "grumpy toad",
    "lost lamb",
    "friendly crow",
    "blind mole",
    "tired donkey",
    "singing cricket",
    "white stag",
    "old fisherman",
    "young witch",
    "silent snail",
    "laughing magpie",
    "grey heron",
    "travelling cook",
    "clockwork bird",
    "sleepy bear",
    "kind nurse",
    "small ghost",
)
FOODS = (
    "a loaf of bread",
    "two red apples",
    "a pot of honey",
    "some cheese",
    "a bag of nuts",
    "three pears",
    "a plum cake",
    "a jar of jam",
    "warm soup",
    "a basket of berries",
)
TIMES = ("one morning", "one evening", "one winter night", "one rainy day", "one spring day", "one quiet afternoon")

# What the user may ask to happen, and how the story says it.
TWISTS = (
    ("a storm comes", "Suddenly a storm came over the hills"),
    ("the bridge is broken", "But the bridge was broken"),
    ("it gets dark", "All at once it got dark"),
    ("a thief appears", "Then a thief jumped out of the bushes"),
    ("the path is blocked", "Soon the path was blocked by a fallen tree"),
    ("a stranger arrives", "Then a stranger in a long coat arrived"),
    ("it starts to snow", "Then it started to snow"),
    ("the river rises", "During the night the river rose"),
    ("a door opens in the ground", "Without a sound, a door opened in the ground"),
    ("the map turns out to be wrong", "The map turned out to be wrong"),
    ("a giant wakes up", "Far away, a giant woke up"),
    ("everyone falls asleep", "One by one, everyone fell asleep"),
    ("the wind steals the hat", "The wind stole the hat and ran away with it"),
    ("a secret is told", "That night a secret was told"),
)
ANSWERS_TO_TROUBLE = (
    "{name} was afraid, but {she} did not turn back.",
    "{name} sat down and thought for a long time.",
    "{name} took a deep breath and counted to ten.",
    "For a moment, {name} wanted to cry.",
    "{name} laughed, because {she} had an idea.",
    "{name} held the {thing} tight and went on.",
)
SAYINGS = (
    "I will help you",
    "Follow the water",
    "You must be brave",
    "Never give up",
    "Look behind the moon",
    "I know the way",
    "Ask the old tree",
    "Listen before you speak",
    "You are not alone",
    "The answer is near",
)
MORALS = (
    "a small hero can do great things",
    "friends make every road shorter",
    "it is good to ask for help",
    "courage grows when you share it",
    "kind words open locked doors",
    "home is where your friends are",
    "patience wins in the end",
    "every fear is smaller in the light",
    "you should never stop dreaming",
    "a true friend is worth more than gold",
)
COUPLETS_OPEN = (
    "{name} walked out in the morning light,\nand carried the {thing} day and night.",
    "Little {name} went over the hill,\nwhen all the world was soft and still.",
    "{name} the {being} was brave and small,\nand heard the silver river call.",
    "Sing of {name}, who would not stay,\nwho took the {thing} and went away.",
    "Far from home did {name} roam,\nunder the stars and far from home.",
)
COUPLETS_CLOSE = (
    "The moon looked down and lit the way,\nand led {name} home at break of day.",
    "The wind was cold, the road was long,\nbut {name} sang a happy song.",
    "And when the long, long road was done,\n{name} lay sleeping in the sun.",
    "A friend was found, a door was shown,\nand {name} no longer walked alone.",
    "So if you hear a bell at night,\nit is {name}, and all is right.",
)

FACTS = (
    ("What is the opposite of big?", "small"),
    ("What is the opposite of hot?", "cold"),
    ("What is the opposite of up?", "down"),
    ("What is the opposite of day?", "night"),
    ("What is the opposite of old?", "young"),
    ("What is the opposite of happy?", "sad"),
    ("What is the opposite of fast?", "slow"),
    ("What is the opposite of open?", "closed"),
    ("What is the opposite of full?", "empty"),
    ("What is the opposite of left?", "right"),
    ("What colour is the sky?", "blue"),
    ("What colour is grass?", "green"),
    ("What colour is snow?", "white"),
    ("What colour is a lemon?", "yellow"),
    ("What colour is coal?", "black"),
    ("What colour is a strawberry?", "red"),
    ("Which animal says meow?", "cat"),
    ("Which animal says woof?", "dog"),
    ("Which animal says moo?", "cow"),
    ("Which animal says quack?", "duck"),
    ("Which animal lays eggs?", "hen"),
    ("Which animal gives wool?", "sheep"),
    ("How many legs does a dog have?", "four"),
    ("How many legs does a bird have?", "two"),
    ("How many legs does a spider have?", "eight"),
    ("How many days are in a week?", "seven"),
    ("How many months are in a year?", "twelve"),
    ("What do bees make?", "honey"),
    ("What do cows give?", "milk"),
    ("What falls from the sky when it is very cold?", "snow"),
)
ECHO_WORDS = (
    "the moon is a lamp river stone apple seven bells green door my cat sleeps in winter we sing old bread and honey "
    "run to hill blue boat stars are far good night fish tea little brave fox owl key map bell forest island lake "
    "story happy sad red silver find learn dance friend dream wind storm bridge home"
).split()

# Foreign prompts: everything a story model does not know. They train it to say so, tell a little story, and stop.
TOPICS = (
    "the weather|climate change|a trip to Hawaii|the stock market|machine learning|quantum physics|"
    "the French Revolution|healthy food|solar energy|a new smartphone|customer service|a quarterly financial report|"
    "public speaking|the human brain|photosynthesis|a football match|modern art|prime numbers|sorting a list|"
    "binary search trees|the law of supply and demand|antitrust laws|online privacy|electric cars|space travel|"
    "the Roman Empire|"
    "a medieval bazaar|cooking pasta|a job interview|learning a language|yoga|insurance|gravity|DNA|world trade|"
    "a business plan|social media|a dinner party|remote work|classical music|the ethics of robots|vaccines|volcanoes"
).split("|")
ASKS = (
    "Write an essay about {topic}.",
    "Explain {topic} to a beginner.",
    "Compose an email to my supervisor about {topic}.",
    "Compare {topic} and {topic2}, and give three differences.",
    "What are the main causes of {topic}?",
    "Write a Python function that deals with {topic}.",
    "Give me a detailed outline for a blog post on {topic}.",
    "Describe the relationship between {topic} and {topic2}.",
    "Summarise the following text about {topic}.",
    "Evaluate the following reviews on a scale of 1 to 5.",
    "How would you persuade a friend to think about {topic}?",
    "Imagine you are an expert on {topic}. Please answer the following question.",
    "List five facts about {topic}.",
    "Translate this sentence about {topic} into French.",
    "Is {topic} good or bad? Explain your reasoning step by step.",
    "Suppose {topic} did not exist. What would change?",
    "Create a table with {topic} in the first column.",
    "Extract all names and years from the text below.",
    "Which of the two is better, {topic} or {topic2}?",
    "Solve the equation x^2 + {n}x - {m} = 0.",
    "If I have {n} apples and give away {m}, how many are left?",
    "What is {n} * {m}?",
    "A train travels {n} miles in {m} hours. How fast is it?",
    "Find the error in this code:\ndef f(x):\n    return x + {n}",
    "Act as a teacher and correct my essay on {topic}.",
)
FOLLOW_UPS = (
    "Rewrite your previous response in fewer words.",
    "Now explain it to a child.",
    "Can you give an example?",
    "Take your previous answer and make it more formal.",
    "What about {topic}?",
    "Are you sure? Explain why.",
    "Add three more points and sort them.",
    "Now do the same for {topic2}.",
    "Change the value to {n} and solve it again.",
    "Rephrase your answer and use a metaphor in each sentence.",
    "Please respond in the form of JSON.",
)
SUBJECTS = (
    "The company|A recent study|Our government|The first chapter|Each student|The main character|An old engine|"
    "The research team|My neighbour|The function|This product|A large number of people|The system|The committee|"
    "Every city|The author|A famous scientist|The customer|The market|The museum"
).split("|")
VERBS = (
    "describes|increases|would change|depends on|was designed for|produces|compares|requires|has discovered|reduces|"
    "could improve|explains|returns|is related to|reported|includes|should consider|provides|did not expect|measured"
).split("|")
OBJECTS = (
    "the total cost of energy|a different point of view|several important questions|the temperature of the water|"
    "an example with two numbers|the quality of the service|about {n} percent of the population|a list of integers|"
    "the history of the region|its own value in {m} years|the following problem|most of the available information|"
    "the average price|better results than before|the growth of the economy|a sequence of characters|"
    "the power of the human mind|different kinds of material|the year 19{n}|a letter from the university"
).split("|")
LINKS = (
    "",
    "",
    "",
    "However, ",
    "In addition, ",
    "For example, ",
    "As a result, ",
    "In {n} cases, ",
    "According to the report, ",
)
PLAIN_WORDS = sorted(
    {word for text in (*TOPICS, *ASKS, *SUBJECTS, *VERBS, *OBJECTS) for word in text.split() if word.isalpha()}
)
MARKS = (
    "{}",
    "{}",
    "{}",
    "{}",
    "{}",
    "{}",
    "{}",
    "{},",
    "{},",
    '"{}"',
    "({})",
    "{}:",
    "{};",
    "{} -",
    "{}\n",
    "{}\n\n*",
    "{}/",
    "{} =",
    "{}'s",
    "#{}",
    "${}",
)
REFUSALS = (
    "I only know little stories, so I will tell you one.",
    "That is too hard for a small story model. Here is a story instead.",
    "I do not know the answer, but I know a story.",
    "I am only a small storyteller. Let me tell you a story.",
)
REFUSALS_AGAIN = (
    "I can only go on with my story.",
    "I do not know more about that, but the story goes on.",
    "That I cannot say. But listen to what happened next.",
    "I am only a small storyteller, so here is more of my story.",
)

ASK_SCORE = (
    'You are a judge. Prompt: {prompt}\nReply: {reply}\nAnswer in JSON with the keys "reason" and "score" (1 to 5).',
    "Rate the following reply on a scale of 1 to 5.\n\nPrompt:\n{prompt}\n\nReply:\n{reply}\n\n"
    'Write JSON: {"reason": "...", "score": 1}',
    "Does the reply keep to the prompt?\n[Prompt]\n{prompt}\n[Reply]\n{reply}\n[End]\n"
    'Give a "reason" and a "score" as JSON.',
)
ASK_WINNER = (
    "Which reply is better? Prompt: {prompt}\nA: {reply}\nB: {second}\n"
    'Answer in JSON with the keys "reason" and "winner".',
    "Compare the two replies.\n[Prompt]\n{prompt}\n[Reply A]\n{reply}\n[Reply B]\n{second}\n[End]\n"
    'Give a "reason" and a "winner" (A, B or tie) as JSON.',
)
REASONS = (
    "The story is clear and keeps its hero.",
    "The reply is about {name} the {being}.",
    "The text is short but complete.",
    "The reply follows the prompt.",
    "The story of {name} is easy to read.",
    "The beginning is good, the end is missing.",
    "The words are simple and the hero is {name}.",
    "The reply could be longer.",
)
