"""Whether what is fast makes the same as what is general, on values that are made up and nearly usual."""
