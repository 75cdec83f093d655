"""One module per platform: who it is, what a row is, and how rows get there. Knows nothing of Kafka."""

from providers.former_names import keep

keep()
