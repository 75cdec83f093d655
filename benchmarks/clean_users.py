"""Made-up users with all fields, in ASCII, each in its usual form."""

from schemas.records import AudienceUser, Purchase


def clean_user(number: int) -> AudienceUser:
    """Return one of them; no two are alike."""
    return AudienceUser(
        edge_tag_id=f"edge-{number}",
        email=f"person{number}@example.com",
        phone=f"+1415{5550000 + number}",
        first_name="Ada",
        last_name="Lovelace",
        country="US",
        postal_code="94107",
        purchase=Purchase(currency="USD", profit=number / 4, total_7_days=1.0),
    )
