"""From a table to users as the server takes them: JSON, with the numbers of their rows."""
