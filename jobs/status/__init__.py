"""What `nightjar status` and the pages show: the one read model of terminal and web."""
