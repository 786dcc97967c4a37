"""Heavy work, in child processes: reports, comparisons, trends. The web process keeps what comes of it in files."""
