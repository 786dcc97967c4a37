"""A run in the formats of other tools: pure builders over the collected report, one module a format."""
