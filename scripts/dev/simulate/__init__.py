"""What intervals, verdicts, gates and checks of judges do on data whose truth is known: `make simulate`."""
