"""From bytes on a connection to the parts of a form: everything that HTTP and multipart ask for."""
