"""llama.cpp, typed and thin: the only folder that imports `llama_cpp`. What is here belongs to one thread at a time."""
