"""The console in a browser: a stranger's way, checked by what the pages say, and its pictures for the docs."""
