"""Two loads of one vocabulary side by side: how far the one's next-token distributions are from the other's."""
