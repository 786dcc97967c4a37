"""Suites: reading and validating files, storing immutable versions, giving them back."""
