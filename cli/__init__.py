"""The `audience` command: puts the rooms together."""
