"""Two hundred sentences with known neighbours: fifty subjects, each said four times in other words."""

from __future__ import annotations

SUBJECTS = (
    "the lighthouse|sent its beam|over the stormy sea;the beacon on the cliff|shone|across the raging waves",
    "the baker|put the bread|into the hot oven;the man in the bakery|slid the loaves|into the glowing oven",
    "the cat|slept|on the warm windowsill;the kitten|dozed|on the sunny ledge of the window",
    "the train|arrived|two hours late at the station;the railway carriage|came in|at the platform long overdue",
    "the doctor|examined|the patient with a fever;the physician|looked at|the sick man with a high temperature",
    "the violinist|practised|a difficult sonata;the musician with the violin|rehearsed|a hard piece",
    "the farmer|harvested|the ripe wheat;the man on the tractor|brought in|the golden grain",
    "the astronomer|discovered|a distant planet;the scientist at the telescope|found|a far-off world",
    "the goalkeeper|stopped|the penalty kick;the keeper|saved|the shot from the spot",
    "the thief|stole|the painting from the museum;the burglar|took|the canvas out of the gallery",
    "the river|flooded|the low fields in spring;the stream|burst its banks and covered|the meadows",
    "the programmer|fixed|a bug in the software;the developer|repaired|an error in the code",
    "the bride|wore|a long white dress;the woman at the wedding|had on|a white gown",
    "the volcano|erupted|and ash fell on the town;the fiery mountain|exploded|and covered the village with ash",
    "the judge|sentenced|the accused to prison;the magistrate|sent|the defendant to jail",
    "the bees|made|honey in the hive;the swarm of bees|filled|the combs with honey",
    "the pilot|landed|the aeroplane in the fog;the captain of the jet|brought down|the plane through thick mist",
    "the teacher|explained|fractions to the class;the schoolmistress|taught|the pupils about fractions",
    "the dog|chased|the ball in the park;the puppy|ran after|the ball on the grass",
    "the glacier|melted|faster than ever before;the ice of the mountain|is shrinking|at a record pace",
    "the bank|raised|its interest rates;the lender|increased|the interest on loans",
    "the chef|seasoned|the soup with salt;the cook|added|some salt to the broth",
    "the spider|wove|a web between the branches;the arachnid|spun|its net among the twigs",
    "the queen|opened|the parliament in her crown;the monarch|began|the session of parliament",
    "the child|built|a castle of sand at the beach;the little girl|made|a sandcastle by the sea",
    "the mechanic|repaired|the engine of the car;the man in the garage|mended|the motor of the vehicle",
    "the owl|hunted|mice in the night;the nocturnal bird|caught|rodents in the dark",
    "the gardener|watered|the roses in the evening;the woman in the garden|sprinkled|the rose bushes at dusk",
    "the company|dismissed|a hundred workers;the firm|laid off|a hundred employees",
    "the climber|reached|the summit at dawn;the mountaineer|got to|the peak at sunrise",
    "the library|lends|books to everybody;the public library|lets|anyone borrow books",
    "the snow|covered|the roofs of the village;the white snowfall|lay on|the houses of the hamlet",
    "the dentist|pulled|an aching tooth;the dental surgeon|extracted|a painful molar",
    "the fisherman|mended|his torn nets;the man with the boat|repaired|the holes in his fishing net",
    "the orchestra|played|a symphony by Beethoven;the philharmonic|performed|one of Beethoven's symphonies",
    "the election|was won|by the opposition;the vote|brought victory|to the opposing party",
    "the whale|surfaced|beside the small boat;the huge sea mammal|came up|next to the dinghy",
    "the potter|shaped|a bowl from clay;the ceramic artist|formed|a clay dish on the wheel",
    "the tailor|sewed|a button on the coat;the dressmaker|stitched|a button to the jacket",
    "the vaccine|protects|people against the flu;the injection|guards|patients from influenza",
    "the clock|struck|midnight in the tower;the bell of the tower|rang|at twelve in the night",
    "the sailor|crossed|the Atlantic alone;the lone yachtsman|sailed over|the ocean by himself",
    "the elephant|drank|at the water hole;the animal with the trunk|took water|from the pond",
    "the painter|mixed|blue and yellow to green;the artist|blended|yellow and blue into green",
    "the robot|assembled|cars in the factory;the machine with arms|put together|automobiles in the plant",
    "the detective|followed|the suspect through the city;the investigator|shadowed|the suspected man in town",
    "the grandmother|knitted|a woollen scarf;the old lady|made|a scarf of wool with her needles",
    "the earthquake|destroyed|the old bridge;the tremor of the earth|broke|the ancient bridge",
    "the poet|wrote|verses about the moon;the writer of poems|composed|lines on the moon",
    "the goats|climbed|the steep rocks;the herd of goats|went up|the sheer cliff",
)


def sentences() -> list[str]:
    """200 sentences, four of a subject one after the other: two phrasings, each whole and as a report."""
    made = []
    for subject in SUBJECTS:
        for said in subject.split(";"):
            plain = " ".join(said.split("|"))
            made += [f"{plain[0].upper()}{plain[1:]}.", f"Yesterday, people say, {plain}."]
    return made
