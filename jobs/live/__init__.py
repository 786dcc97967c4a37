"""Live requests: a reply that somebody waits for, from the request to its end."""
