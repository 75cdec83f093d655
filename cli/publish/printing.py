"""What was published, as text."""

from collections.abc import Iterator

from producer.publisher import Published


def published_lines(published: Published, server: str, *, has_tokens: bool) -> Iterator[str]:
    """Yield where the records stand, what was ignored, and how to ask a server, at host:port, what becomes of them."""
    yield f"batch {published.batch_id}"
    yield from (f"record {origin}" for origin in published.origins)
    if published.ignored:
        unknown = "; ".join(str(one) for one in published.unknown)
        yield f"ignored {published.ignored} members of users that are not known ({unknown})"
    token = ' -H "Authorization: Bearer ${AUDIENCE_API_TOKENS%%,*}"' if has_tokens else ""
    url = f"http://{server}/audience/batches/{published.batch_id}?wait=60"
    yield f"What becomes of it, where `audience serve` runs: curl -sS{token} '{url}'"
