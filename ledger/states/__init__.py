"""The state of sessions and batches as a column of the view: what it says, what changes it, and how it is folded."""
