"""What fits on this machine: estimates, fallbacks, recommendations."""
