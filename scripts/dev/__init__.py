"""For the makers of Nightjar: benchmarks, simulations, the demo model."""
