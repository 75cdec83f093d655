-- The hook writes the model as a file: Snowflake and Redshift have COPY INTO and UNLOAD, BigQuery has EXPORT DATA.
{{ config(
    materialized="table",
    post_hook="COPY {{ this }} TO 'vip_customers.parquet' (FORMAT parquet)"
) }}

SELECT email, phone, postal_code
FROM (VALUES
  ('ada@example.com', NULL, '01067'),
  ('soren@example.com', NULL, NULL),
  (NULL, '+14155550100', '94107')
) AS customers (email, phone, postal_code)
