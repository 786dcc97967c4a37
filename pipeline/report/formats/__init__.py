"""The report as JSON, CSV and Markdown, and the files it is written to."""
