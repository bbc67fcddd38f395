"""A second built-in world, for encoder-decoders: reviews and dialogues, where what is forgotten is chosen by people's names."""
