"""What a person sees: progress in a terminal, a contact sheet."""
