"""How fast the engine is, beside what else one could use: `make bench`."""
