"""`audience upload` is interrupted and killed at random moments, and must end whole, each batch once."""
