"""Streams to browsers that last: what moves, and the text of a watched job."""
