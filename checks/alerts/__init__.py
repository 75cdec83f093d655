"""Alerts on a product that runs: each is made to fire by a fault, and clears when that is mended."""
