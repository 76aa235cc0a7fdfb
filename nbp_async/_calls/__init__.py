"""One call, from its arguments to its batch."""
