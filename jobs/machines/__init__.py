"""Workers and the machines that they are on: what each says of itself, how it died, how fast it was."""
