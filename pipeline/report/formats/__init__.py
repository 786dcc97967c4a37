"""The report as JSON, CSV, Markdown and text."""
