"""The report and the trend as HTML pages."""
