"""For developers of Nightjar: benchmarks, simulations, the demo model."""
