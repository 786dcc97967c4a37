"""The dispatcher: which jobs wait in Redis, and what else is done by the clock."""
