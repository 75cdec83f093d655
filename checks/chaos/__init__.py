"""`make chaos`: real processes on a real Kafka, killed, paused and refused at random; nothing may be lost."""
