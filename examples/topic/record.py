"""Write the bytes of one record to standard output, for kcat; the batch id is told on standard error."""

import sys

from publish_fastavro import batch, encode

record = batch(sys.argv[1])
sys.stderr.write(f"batch {record['batchId']}\n")
sys.stdout.buffer.write(encode(record))
