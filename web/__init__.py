"""The web room: what `nightjar serve` shows and does. Needs the extra `serve`; nothing below imports from it."""
