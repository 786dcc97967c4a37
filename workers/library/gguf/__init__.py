"""GGUF files: metadata, shapes, tensor types, parts."""
