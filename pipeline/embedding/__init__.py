"""Similarities of embeddings: planned, written as jobs, read back."""
