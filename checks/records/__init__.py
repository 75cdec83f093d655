"""Records that no publisher should write, at random, to the log of a running product."""
