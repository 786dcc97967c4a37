"""The report as JSON, CSV and Markdown, and how its files are written."""
