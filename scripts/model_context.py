"""How long a context a model of this machine was made for."""

from __future__ import annotations

from nightjar.config.errors import UsageError


def context_made_for(name: str) -> int:
    """Tokens, as its file says. Raises UsageError where it has none, UnknownNameError, ModelFileError."""
    from nightjar.config.settings import load_settings
    from nightjar.workers.library.find import find_file
    from nightjar.workers.library.inspect import entry_facts

    facts = entry_facts(find_file(name, load_settings()))
    if facts.file is None or not facts.file.context_train:
        raise UsageError(f"The file of {name} does not say what context it was made for: give --up-to TOKENS.")
    return facts.file.context_train
