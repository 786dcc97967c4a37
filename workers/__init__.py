"""Around the model: the arq worker, conversations, the engine, the model library."""
