"""Users, tokens and sessions of those who use the page and the HTTP service, and what their requests took."""
