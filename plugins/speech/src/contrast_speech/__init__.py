"""contrast-speech: COCONUT and continual spoken language understanding, as parts for contrast."""
