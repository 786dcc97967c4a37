"""A conversation: prompts from a history, replies from an engine, what a turn records."""
