"""What our processes tell of themselves to Prometheus: the closed list, and the one place that knows its client."""
