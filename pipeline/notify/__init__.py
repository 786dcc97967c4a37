"""Telling somebody how a run ended: what is said, the ways to say it, and saying it once."""
