"""Speed and memory, each with a command of its own. Measured and written down, never asserted in a test."""
