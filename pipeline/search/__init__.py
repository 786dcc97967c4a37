"""Search by words and by meaning: what is embedded, how it is ranked, what is shown of it."""
