"""What survives a crash: which requests may be out, what came of them, and what they cost."""
