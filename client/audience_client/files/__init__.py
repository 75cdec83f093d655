"""Customer files as tables of text, whatever they are: read whole and counted before anything is given out."""
