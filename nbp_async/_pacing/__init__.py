"""How many at once, how fast, how soon again, for how much."""
