"""`POST /audience` validates an upload and writes it to the log; `publisher` does the same without HTTP."""
