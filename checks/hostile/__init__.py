"""`make hostile`: a real server on a real Kafka is sent what no client should send, and must refuse it in order."""
