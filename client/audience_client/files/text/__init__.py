"""Files of text: their encoding, separators and records, and the tables that they hold."""
