"""Continuous batching over one llama.cpp model. Pure: request, slots, prefix tree, scheduler."""
