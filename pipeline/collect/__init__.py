"""Turns become numbers: reads a run, scores its replies, groups them."""
