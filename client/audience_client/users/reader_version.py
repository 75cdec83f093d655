"""Which version of the readers a file was read by."""

READER_VERSION = 2
"""To be raised by whoever changes which users, in which order, the same file and mapping become.

An upload that was begun by another version is not resumed: its batches would be cut, or read, otherwise.
"""
