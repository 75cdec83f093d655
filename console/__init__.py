"""The console: pages on which people see what is under way, what arrived where, and what needs them."""
