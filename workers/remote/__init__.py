"""Models behind endpoints: what a worker serves of them."""
