"""A run's report as plain data, and its numbers in words."""
