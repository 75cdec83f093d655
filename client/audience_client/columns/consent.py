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
        agreedtomarketing werbeeinwilligung einwilligung akzeptiertmarketing consentement acceptelemarketing
        consentimiento aceptamarketing accettamarketing""",
}
_REFUSED: Mapping[Channel, str] = {
    "email": """
        hasoptedoutofemail emailoptout emailoptedout emailunsubscribed unsubscribedfromemail
        unsubscribedfromallemail""",
    "phone": "donotcall smsoptout smsoptedout hasoptedoutofsms smsunsubscribed",
    "any": "optout optedout unsubscribed donotcontact hasoptedout",
}
_REFUSED_AT: Mapping[Channel, str] = {
    "email": "emailunsubscribedat emailunsubscribedate emailoptoutdate emailoptouttime",
    "phone": "smsunsubscribedat smsunsubscribedate smsoptoutdate smsoptouttime",
    "any": """
        unsubscribedat unsubscribedate unsubscribeddate unsubscribedon unsubscribetime unsubtime dateunsubscribed
        optoutat optoutdate optouttime optedoutat optedoutdate optedouton""",
}
Way = Literal["agreed", "refused", "refused at"]
_WAYS: Mapping[Way, Mapping[Channel, str]] = {"agreed": _AGREED, "refused": _REFUSED, "refused at": _REFUSED_AT}
"""What a column tells: that somebody agreed, that somebody refused, or when."""

YES = name_set(
    "yes y true t 1 on x subscribed subscribe optin optedin opted granted consented accepted agreed confirmed "
    "ja wahr oui vrai si verdadero sim verdadeiro tak prawda igen kylla"
)
NO = name_set("no n false f 0 off nein falsch non faux nao falso nee nie nej nei")


@dataclass(frozen=True, slots=True)
class Consent:
    """A column of consent: whom it is about, and what it tells."""

    column: int
    channel: Channel
    way: Way

    def agrees(self, value: str) -> bool:
        """Tell whether a value says that somebody agreed; a word that is not known, or none, does not.

        When somebody refused stands only of those who did: nothing there is no refusal, and whatever else is one.
        """
        if self.way == "refused at":
            return not value.strip()
        return fold(value) in (YES if self.way == "agreed" else NO)


def consent_of(column: int, name: str) -> Consent | None:
    """Return what a column says of consent, None where it is about something else."""
    folded = without_number(fold(name))[0]
    for way, table in _WAYS.items():
        for channel, names in table.items():
            if folded in names.split():
                return Consent(column, channel, way)
    return None
