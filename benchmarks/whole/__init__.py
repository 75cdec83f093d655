"""What the whole product costs a user, from upload to three platforms, on a real Kafka and a sink of no cost."""
