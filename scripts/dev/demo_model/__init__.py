"""How the bundled demo model is made: corpus, tokenizer, network, training, export, check."""
