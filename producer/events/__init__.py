"""`GET /events`: what changes, told to who listens."""
