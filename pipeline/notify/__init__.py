"""Notifying people of a run's end: what is said, the ways to say it, and saying it once."""
