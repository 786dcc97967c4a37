"""Grammars for replies: GBNF read and checked before llama.cpp sees it, JSON Schemas written as GBNF. Pure."""
