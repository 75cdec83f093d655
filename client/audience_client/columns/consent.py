"""Columns that say whether somebody agreed to be written to, and their words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from audience_client.columns.folding import fold, name_set, unwrapped, without_number

Channel = Literal["email", "phone", "any"]

_AGREED: Mapping[Channel, str] = {
    "email": """
        acceptsemailmarketing emailmarketingconsent emailmarketingconsentstate subscriptionsemailmarketingconsent
        emailsubscriberstatus emailsubscriptionstatus emailconsent
        emailoptin emailmarketing emailsubscribed emailstatus newsletter newsletteroptin newslettersubscribed
        newsletterabonniert
        infolettre boletin""",
    "phone": """
        acceptssmsmarketing smsmarketingconsent smsmarketingconsentstate subscriptionssmsmarketingconsent
        smssubscriberstatus smssubscriptionstatus smsconsent smsoptin
        smsmarketing smssubscribed phoneconsent phoneoptin""",
    "any": """
        acceptsmarketing marketingconsent marketingoptin consent optin optedin subscribed subscriptionstatus gdprconsent
        agreedtomarketing werbeeinwilligung einwilligung akzeptiertmarketing consentement acceptelemarketing
        consentimiento aceptamarketing accettamarketing""",
}
_REFUSED: Mapping[Channel, str] = {
    "email": """
        hasoptedoutofemail emailoptout emailoptedout emailunsubscribed unsubscribedfromemail
        unsubscribedfromallemail donotemail donotmail""",
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
Way = Literal["agreed", "agreed at", "refused", "refused at"]
"""What a column tells: that somebody agreed, that somebody refused, or when."""

_WAYS: Mapping[Way, Mapping[Channel, str]] = {"agreed": _AGREED, "refused": _REFUSED, "refused at": _REFUSED_AT}
"""No column of the table tells when somebody agreed: such times stay where somebody refused later."""

_STATED: Mapping[str, Way] = {"yes": "agreed", "yes-at": "agreed at", "no": "refused", "no-at": "refused at"}
_LABELS: Mapping[Way, str] = {
    "agreed": "consent",
    "agreed at": "consent since",
    "refused": "refusal",
    "refused at": "refusal since",
}
_A_TIME = re.compile("[1-9]")
_CHANNELS: Mapping[str, Channel] = {"": "any", "email": "email", "phone": "phone"}
STATED = "yes, yes-at, no and no-at, each also of one channel, such as email-yes or phone-no"
"""What somebody may say that a column tells, in words."""

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

    @property
    def label(self) -> str:
        """What the column tells, in words."""
        return _LABELS[self.way] if self.channel == "any" else f"{_LABELS[self.way]} ({self.channel})"

    def agrees(self, value: str) -> bool:
        """Tell whether a value says that somebody agreed; a word that is not known, or none, does not.

        When somebody refused stands only of those who did: nothing there is no refusal, and whatever else is one. A
        time of agreement has digits, and not zeros alone, as databases write that there is none.
        """
        if self.way == "refused at":
            return not value.strip()
        if self.way == "agreed at":
            return _A_TIME.search(value) is not None
        return fold(value) in (YES if self.way == "agreed" else NO)


def consent_of(column: int, name: str) -> Consent | None:
    """Return what a column says of consent, None where it is about something else."""
    folded = without_number(fold(unwrapped(name)))[0]
    for way, table in _WAYS.items():
        for channel, names in table.items():
            if folded in names.split():
                return Consent(column, channel, way)
    return None


def stated_consent(column: int, kind: str) -> Consent | None:
    """Return what somebody says that a column tells, None where that is nothing of `STATED`."""
    first, _, rest = kind.partition("-")
    channel, way = (first, rest or "yes") if first in _CHANNELS else ("", kind)
    return Consent(column, _CHANNELS[channel], _STATED[way]) if way in _STATED else None
