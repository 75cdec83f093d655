"""What the server describes of itself: its HTTP API as OpenAPI, its topics as AsyncAPI, and a page of both."""
