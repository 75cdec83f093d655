"""An upload of a large file is interrupted and killed at random moments, and must end whole, each batch once."""
