#!/bin/sh
# Upload what a query returns; `sh duckdb.sh NAME`. Nothing of it is kept: standard input goes to a private file.
set -eu

duckdb -c "COPY (
  SELECT email, phone, postal_code
  FROM (VALUES
    ('ada@example.com', NULL, '01067'),
    ('soren@example.com', NULL, NULL),
    (NULL, '+14155550100', '94107')
  ) AS customers (email, phone, postal_code)
) TO '/dev/stdout' (FORMAT csv)" | audience-upload - --name "$1" --wait
