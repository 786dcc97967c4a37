"""What requests to endpoints and what cards cost, and at which rates endpoints may be asked."""
