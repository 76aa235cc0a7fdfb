"""What moves bytes. Knows no JSON, no image, no price."""
