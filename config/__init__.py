"""Settings, logging and the embedded services: the lowest room; it imports no other room."""
