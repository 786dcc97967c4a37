"""The report of a run: data (pure), charts as data, and renderers."""
