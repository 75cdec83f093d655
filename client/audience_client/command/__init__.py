"""`audience-upload`, and what `audience upload` is made of: options, questions, and what is printed."""
