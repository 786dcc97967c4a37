"""What `nightjar doctor` looks at."""
