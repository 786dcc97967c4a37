"""How long a context a model of this machine was made for, and how much text a token of it is."""

from __future__ import annotations

from nightjar.config.errors import UsageError


def made_for(name: str, text: str) -> tuple[int, float]:
    """Tokens of context, as its file says, and characters of the text a token; only the vocabulary is loaded.

    Raises UsageError where the file says no context, UnknownNameError, ModelFileError.
    """
    from nightjar.config.settings import load_settings
    from nightjar.scripts.one_prompt import log_to_file
    from nightjar.workers.engine.llama.model import LlamaModel
    from nightjar.workers.library.find import find_file
    from nightjar.workers.library.inspect import entry_facts

    entry = find_file(name, load_settings())
    facts = entry_facts(entry)
    if facts.file is None or not facts.file.context_train:
        raise UsageError(f"The file of {name} does not say what context it was made for: give --up-to TOKENS.")
    log_to_file()
    model = LlamaModel(entry.path, gpu_layers=0, mmap=True, mlock=False, vocabulary_only=True)
    try:
        return facts.file.context_train, len(text) / len(model.tokenizer.tokenize(text, parse_special=False))
    finally:
        model.close()
