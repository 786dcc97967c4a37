"""Tasks of lm-evaluation-harness, of which a declared subset becomes a suite. Pure."""
