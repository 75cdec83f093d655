"""Customer files of any kind, as users of an Audience API."""
