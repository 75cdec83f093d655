"""The page on which a file is looked at and uploaded; nothing of the file is kept."""
