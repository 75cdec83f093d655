"""`POST /audience`: validates an upload, writes it to the log, and waits for what the platforms did if asked."""
