"""One consumer group per provider account: reads the log, delivers, reports, commits."""
