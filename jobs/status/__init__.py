"""How everything stands: the one read model of terminal and web. It changes nothing of what it shows."""
