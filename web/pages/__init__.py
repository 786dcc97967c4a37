"""The pages, a module each: what is read becomes a typed page, and a template shows that."""
