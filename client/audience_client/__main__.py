"""`python -m audience_client` is `audience-upload`."""

from audience_client.command.main import main

main()
