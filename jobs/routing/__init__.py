"""Policies: as they are stored, as a run freezes them, and what they were learnt from."""
