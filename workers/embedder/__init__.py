"""The small embedder: a process a host that embeds a few texts at once, on the CPU."""
