"""Checks that need more than Python, apart from the tests."""
