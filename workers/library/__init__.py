"""Models on disk: registry, hub downloads, GGUF metadata, and what fits this machine."""
