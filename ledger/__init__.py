"""What happened: receipts for every record of the log, and the view of sessions that they and completions fold into."""
