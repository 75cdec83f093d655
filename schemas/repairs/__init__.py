"""Repairs of uploaded values, before any platform's own rule; pure, and the same for all platforms."""
