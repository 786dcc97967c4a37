"""Before and after the model: suites, producer, dispatcher, collector, scoring, statistics, reports."""
