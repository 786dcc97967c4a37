"""The end of a run: its report, its verdict, who is to be notified."""
