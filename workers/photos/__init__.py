"""Photos of folders that the owner indexed: found by what is known of them, and by what they show; they stay here."""
