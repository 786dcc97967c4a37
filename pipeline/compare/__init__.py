"""Runs and models held against each other: comparison, gates, baselines."""
