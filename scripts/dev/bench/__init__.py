"""How fast the engine is, compared with the alternatives: `make bench`."""
