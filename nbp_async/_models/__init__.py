"""What is asked, and what came of it: values that the whole house speaks in."""
