"""The story, told once: one attempt, one prompt, many prompts."""
