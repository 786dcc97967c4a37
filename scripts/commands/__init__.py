"""One module per command or command group; each has an `app` and is imported only when it is used."""
