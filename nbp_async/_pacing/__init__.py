"""How many requests at once, how fast, when again, and for how many dollars."""
