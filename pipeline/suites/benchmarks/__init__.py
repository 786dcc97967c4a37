"""Standard benchmarks: where their data lies, and how a row of it becomes a question. Pure."""
