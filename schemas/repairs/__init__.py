"""Repairs of what people bring, before any platform's own rule; pure, and in one place for all platforms."""
