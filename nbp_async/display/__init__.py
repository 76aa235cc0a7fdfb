"""What people see of a run: its progress, its summary, and the images on one page."""
