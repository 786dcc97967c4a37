"""Scorers: a reply -> a Score. Pure; what they may read is in `scorer.Context`."""
