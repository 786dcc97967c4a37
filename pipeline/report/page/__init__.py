"""The report as a page: tables, charts, templates."""
