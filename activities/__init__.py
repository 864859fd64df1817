"""The side effects: one class for each kind of work, adapters given by the constructor."""
