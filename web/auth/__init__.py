"""Who asks, and what they may do: passwords, sessions, one-time keys, tokens, roles."""
