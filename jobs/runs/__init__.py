"""What is done to a whole run: begun, paused, judged, looked at, removed."""
