"""How quick and how large the web room is, against the goals of docs/web.md: `make bench-web`."""
