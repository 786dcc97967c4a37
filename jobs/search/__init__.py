"""Embeddings of texts: what is kept of them, what is read of them, and the model that makes one at once."""
