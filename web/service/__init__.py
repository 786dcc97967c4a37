"""The routes of the service before: one prompt in, one text out, for programs that were written for it."""
