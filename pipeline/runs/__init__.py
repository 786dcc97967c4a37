"""A request becomes a run with its jobs."""
