"""What a person, cron or a supervisor types; the only room where all others meet."""
