#!/bin/sh
# Build the model and upload it; `sh run.sh NAME`. The post-hook writes the file, as dbt's hooks run in the database.
set -eu

dbt run --profiles-dir . --select vip_customers
audience-upload vip_customers.parquet --name "$1" --new --wait --rejected rejected.csv
rm vip_customers.parquet
