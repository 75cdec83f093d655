"""Columns that say whether somebody agreed to be written to, and their words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from audience_client.columns.folding import fold, name_set, without_number

Channel = Literal["email", "phone", "any"]

_AGREED: Mapping[Channel, str] = {
    "email": """
        acceptsemailmarketing emailmarketingconsent emailsubscriberstatus emailsubscriptionstatus emailconsent
        emailoptin emailmarketing emailsubscribed emailstatus newsletter newsletteroptin newslettersubscribed
        newsletterabonniert
        infolettre boletin""",
    "phone": """
        acceptssmsmarketing smsmarketingconsent smssubscriberstatus smssubscriptionstatus smsconsent smsoptin
        smsmarketing smssubscribed phoneconsent phoneoptin""",
    "any": """
        acceptsmarketing marketingconsent marketingoptin consent optin optedin subscribed subscriptionstatus gdprconsent
        agreedtomarketing werbeeinwilligung einwilligung consentement consentimiento""",
}
_REFUSED: Mapping[Channel, str] = {
    "email": "hasoptedoutofemail emailoptout emailoptedout emailunsubscribed",
    "phone": "donotcall smsoptout hasoptedoutofsms",
    "any": "optout optedout unsubscribed donotcontact hasoptedout",
}
YES = name_set(
    "yes y true t 1 on x subscribed subscribe optin optedin opted granted consented accepted agreed confirmed "
    "ja wahr oui vrai si verdadero sim verdadeiro tak prawda igen kylla"
)
NO = name_set("no n false f 0 off nein falsch non faux nao falso nee nie nej nei")


@dataclass(frozen=True, slots=True)
class Consent:
    """A column of consent: whom it is about, and whether its yes means that somebody refused."""

    column: int
    channel: Channel
    is_refusal: bool

    def agrees(self, value: str) -> bool:
        """Tell whether a value says that somebody agreed; a word that is not known, or none, does not."""
        return fold(value) in (NO if self.is_refusal else YES)


def consent_of(column: int, name: str) -> Consent | None:
    """Return what a column says of consent, None where it is about something else."""
    folded = without_number(fold(name))[0]
    for is_refusal, table in ((False, _AGREED), (True, _REFUSED)):
        for channel, names in table.items():
            if folded in names.split():
                return Consent(column, channel, is_refusal)
    return None
