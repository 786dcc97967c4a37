"""Make the bundled demo model: corpus, tokenizer, training, GGUF file.

    python scripts/dev/train_demo_model.py --out config/models/nightjar-demo.gguf

Needs the extra `pip install '.[train]'`. With --check it only measures a file that exists, with llama.cpp.
Everything random comes from the seed, and the number of steps is fixed.
"""

import argparse
import itertools
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a path, in an environment with only the training packages
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nightjar.scripts.dev.demo_model.check import report
from nightjar.scripts.dev.demo_model.corpus import chats
from nightjar.scripts.dev.demo_model.export import write_gguf
from nightjar.scripts.dev.demo_model.extras import training_package
from nightjar.scripts.dev.demo_model.network import NetworkShape
from nightjar.scripts.dev.demo_model.reference import write_reference
from nightjar.scripts.dev.demo_model.tokenizer import TOKENIZER_CHATS, texts_of, train_tokenizer
from nightjar.scripts.dev.demo_model.training import Recipe, train


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The parsed command line."""
    recipe = Recipe()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("config/models/nightjar-demo.gguf"), help="the GGUF file")
    parser.add_argument("--steps", type=int, default=recipe.steps, help="training steps (default %(default)s)")
    parser.add_argument("--seed", type=int, default=recipe.seed, help="of corpus and weights (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default %(default)s)")
    checkpoint = Path(".nightjar/demo-model.ckpt")
    parser.add_argument("--checkpoint", type=Path, default=checkpoint, help="to resume from (default %(default)s)")
    parser.add_argument("--reference", type=Path, help="also write reference logits to this JSON file")
    parser.add_argument("--check", action="store_true", help="only measure the file that --out names")
    return parser.parse_args(given)


def make(options: argparse.Namespace) -> None:
    """Train and write the file; it is rewritten at each checkpoint, so that an early model can be tried."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch = training_package("torch")
    torch.set_num_threads(options.threads)
    recipe = replace(Recipe(), seed=options.seed, steps=options.steps)
    shape = NetworkShape()
    tokenizer = train_tokenizer(texts_of(itertools.islice(chats(recipe.seed), TOKENIZER_CHATS)))
    for path in (options.out, options.checkpoint):
        path.parent.mkdir(parents=True, exist_ok=True)
    saved = tokenizer.to_str()
    options.out.with_suffix(".tokenizer.json").write_text(saved, encoding="utf-8")

    def export(weights: dict[str, Any], step: int) -> None:
        arrays = {name: weight.detach().numpy() for name, weight in weights.items()}
        made = {"seed": recipe.seed, "steps": step, "batch_tokens": recipe.batch_tokens}
        write_gguf(options.out, arrays, shape, saved, made)
        if options.reference and step == recipe.steps:
            write_reference(options.reference, arrays, shape, tokenizer)

    train(tokenizer, recipe, shape, options.checkpoint, export)
    print(f"wrote {options.out} ({options.out.stat().st_size:,} bytes)")


def main() -> None:
    """Train, or check."""
    options = arguments()
    if not options.check:
        make(options)
    elif options.out.exists():
        print(report(options.out))
    else:
        raise SystemExit(f"{options.out} does not exist; train it first, without --check")


if __name__ == "__main__":
    main()
