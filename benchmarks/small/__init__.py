"""What records of one user cost and take, on a real Kafka and a sink that answers at once."""
