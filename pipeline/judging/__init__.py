"""Judges: what they are asked, what they answered, whether they can judge."""
