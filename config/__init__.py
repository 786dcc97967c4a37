"""Settings, logging and the embedded services: the lowest room; imports none of ours."""
