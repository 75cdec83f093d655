"""The HTTP client of an Audience API: one core without I/O, and two clients that run it."""
