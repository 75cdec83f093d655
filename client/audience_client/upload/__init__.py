"""From a file to the log, once: a plan, a kept state, batches in lanes, and what became of each row."""
