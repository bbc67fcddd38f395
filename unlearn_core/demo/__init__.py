"""The built-in world: a generator of invented and real knowledge, and the recipe that trains a small model on it."""
