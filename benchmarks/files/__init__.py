"""Files of customers: what reading one costs, and uploading it by the command to one ingestion process."""
