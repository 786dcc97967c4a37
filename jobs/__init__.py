"""The contract between pipeline and workers: documents, identity, states, retry decisions, store, queue."""
