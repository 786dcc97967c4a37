"""A run's models held against a reference, token by token: planned, written as jobs, read back."""
