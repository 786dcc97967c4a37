"""How faithful loads are to a reference: what was measured summed up with intervals, gated, and shown."""
