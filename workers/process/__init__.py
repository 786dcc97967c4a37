"""The worker process: claims jobs, keeps their leases, runs them, reports its heartbeat."""
