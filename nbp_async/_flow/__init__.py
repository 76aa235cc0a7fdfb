"""What happens to a prompt: its attempts, its ledger, and how its image is delivered."""
