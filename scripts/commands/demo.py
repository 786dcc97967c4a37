"""`nightjar demo`: the main job on the bundled model, with nothing set up."""

from __future__ import annotations

from typing import Annotated

import typer

from nightjar.config.counting import how_many

app = typer.Typer(add_completion=False)

SUITE = "story-starters"
MODEL = "nightjar-demo"


@app.command(
    help="The main job on the bundled model, with embedded services and nothing set up.\n\nExample: nightjar demo"
)
def demo(
    repeats: Annotated[int, typer.Option(help="How often each sequence is generated.")] = 2,
    name: Annotated[str | None, typer.Option(help="The run's name; the same name goes on where it stopped.")] = None,
) -> None:
    from nightjar.scripts.commands.evaluate import run_evaluation
    from nightjar.scripts.options.gpu import chosen_pins
    from nightjar.scripts.session import run_async
    from nightjar.scripts.whole_evaluation import Evaluation

    chosen_pins(None)
    print(
        f"Evaluating the bundled model {MODEL} on the suite {SUITE}, {how_many(repeats, 'time')} each sequence.",
        flush=True,
    )
    wanted = Evaluation(
        suite=SUITE, models=[MODEL], options={"repeats": repeats, "name": name}, formats=["html", "json", "csv", "md"]
    )
    run_async(run_evaluation(wanted))
    print("In the browser: nightjar serve --open")
