"""Suites: reading and validating files, storing immutable versions, exporting them."""
