"""Events on their way to browsers: hints that something moved, and llama.cpp's own lines; never a prompt or a reply."""
