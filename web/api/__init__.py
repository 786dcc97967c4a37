"""Nightjar's own HTTP API: the command line's words as JSON."""
