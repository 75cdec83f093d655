"""The one table of header names: what shops, CRMs and ad platforms call the fields of a user.

Names are folded. The first of a field is preferred: what a customer is reached by, before what is of an address or a
company. Sources: exports of Shopify, WooCommerce, BigCommerce, Magento, PrestaShop, Squarespace, Wix, Klaviyo, HubSpot,
Mailchimp, Salesforce, Stripe and Square, the templates of Meta, Google and TikTok, and German, French, Spanish,
Italian, Dutch, Portuguese, Polish and Scandinavian exports in the words that their programs use.
"""

from collections.abc import Mapping
from functools import cache
from typing import Literal

from audience_client.columns.folding import fold, name_set, unwrapped, without_number

Field = Literal[
    "edgeTagId",
    "email",
    "phone",
    "firstName",
    "lastName",
    "country",
    "postalCode",
    "purchase.currency",
    "purchase.profit",
    "purchase.total7Days",
    "name",
]
"""What a column can be mapped to; `name` is a full name, which is split where somebody asks for it."""

IDENTIFIERS: tuple[Field, ...] = ("email", "phone", "edgeTagId")

HEADER_NAMES: Mapping[Field, str] = {
    "edgeTagId": "edgetagid",
    "email": """
        email emailaddress mail mailaddress emailvalue customeremail customeremailaddress contactemail primaryemail
        primaryemailaddress defaultemail defaultemailaddress useremail accountemail subscriberemail personalemail
        emails emailaddresses mails mailaddresses customeremails customeremailaddresses contactemails useremails
        homeemail billingemail billingemailaddress
        shippingemail otheremail secondaryemail alternateemail workemail
        emailadresse mailadresse emailprivat courriel adresseemail adressemail adresseelectronique
        correo correoelectronico direcciondecorreoelectronico indirizzoemail postaelettronica emailadres
        enderecodeemail adresemail epost epostadress epostadresse
        emailadressen mailadressen courriels adressesemail adressesmail correos correoselectronicos indirizziemail
        epostadresser
        emailsha256 sha256email hashedemail emailhash additionalemailaddresses""",
    "phone": """
        phone phonenumber mobile mobilephone mobilephonenumber mobilenumber cell cellphone cellphonenumber cellnumber
        telephone telephonenumber tel phonevalue customerphone customerphonenumber contactphone contactphonenumber
        primaryphone primaryphonenumber defaultphone defaultphonenumber userphone
        phones phonenumbers mobiles mobilephones mobilenumbers cellphones telephones telephonenumbers customerphones
        customerphonenumbers contactphones contactphonenumbers userphones
        secondaryphone alternatephone
        whatsappphonenumber whatsappnumber smsphonenumber homephone otherphone
        telefon telefonnummer mobiltelefon mobilnummer handy handynummer mobil rufnummer
        numerodetelephone telephoneportable telephonemobile portable telefono telefonomovil movil celular
        numerodetelefono
        cellulare telefonocellulare numeroditelefono telefoon telefoonnummer mobielnummer mobiel telefone telemovel
        numertelefonu telefonkomorkowy mobiltelefonnummer
        telefonnummern mobilnummern handynummern rufnummern telefonos numerosdetelefono telefoni numeriditelefono
        telefoonnummers telefones numerosdetelephone
        billingphone billingphonenumber billingtelephone addressphone addresstelephone defaultaddressphone
        shippingphone shippingphonenumber shippingtelephone workphone businessphone phonesha256 sha256phone
        hashedphone""",
    "firstName": """
        firstname fname fn givenname forename customerfirstname contactfirstname billingfirstname addressfirstname
        shippingfirstname firstnames givennames forenames namefirst namegiven namegivenname namesgivenname
        vorname vornamen prenoms prenom voornaam nomedebattesimo primeironome imie fornamn fornavn etunimi""",
    "lastName": """
        lastname lname ln surname familyname customerlastname contactlastname billinglastname addresslastname
        shippinglastname lastnames surnames namelast namefamily namefamilyname namesfamilyname
        nachname familienname zuname nomdefamille apellido apellidos cognome achternaam sobrenome apelido ultimonome
        nazwisko efternamn etternavn efternavn sukunimi""",
    "country": """
        countrycode countryiso countryisocode countryiso2 countryid country countryregion countryname customercountry
        contactcountry defaultaddresscountrycode defaultaddresscountry mailingcountrycode mailingcountry
        billingcountrycode billingcountry billingcountryregion addresscountrycode addresscountryid addresscountry
        homecountry shippingcountrycode shippingcountry shippingcountryregion othercountrycode othercountry
        land landercode laendercode landcode pays codepays pais codigodepais paese nazione kraj maa""",
    "postalCode": """
        postalcode postcode zip zipcode zippostalcode postalzip postal zipcodepostalcode postalcodes postcodes zips
        zipcodes defaultaddresszip
        defaultaddresspostalcode mailingpostalcode mailingzippostalcode mailingzip
        billingpostalcode billingpostcode billingzip billingzipcode billingzippostalcode addresspostcode
        addresspostalcode
        addresszip addresszipcode addresszippostalcode homepostalcode
        shippingpostalcode shippingpostcode shippingzip shippingzipcode shippingzippostalcode otherpostalcode
        plz postleitzahl codepostal codigopostal codicepostale cap codigopostalcep cep kodpocztowy postnummer postnr
        postinumero pincode""",
    "purchase.currency": "purchasecurrency currency currencycode currencyisocode",
    "purchase.profit": "purchaseprofit profit profits profitvalue customerprofit",
    "purchase.total7Days": "purchasetotal7days total7days total7d totallast7days",
    "name": """
        name fullname customername contactname displayname customer billingname billingfullname shippingname
        shippingfullname vollstandigername kundenname nomcomplet nomprenom prenomnom nombrecompleto nombreyapellidos
        nomecompleto naam volledigenaam imieinazwisko namn navn nimi""",
}

PARTNERED: Mapping[str, tuple[Field, frozenset[str]]] = {
    "nombre": ("firstName", frozenset({"apellido", "apellidos"})),
    "nome": ("firstName", frozenset({"cognome", "sobrenome", "apelido", "ultimonome"})),
    "nom": ("lastName", frozenset({"prenom"})),
    "name": ("lastName", frozenset({"vorname"})),
    "naam": ("lastName", frozenset({"voornaam"})),
}
"""Names that are one part of a name beside a column of the other part, and a full name without it."""

SPENT = name_set("""
    totalspent totalspend lifetimespend sales value ltv customerlifetimevalue historiccustomerlifetimevalue
    totalcustomerlifetimevalue totalrevenue ordertotal total umsatz gesamtumsatz
""")
"""Columns of money that is no profit; somebody has to say so before it is sent as that."""


_ADDRESSES: Mapping[str, str] = {
    "address": "address",
    "addresses": "address",
    "billingaddress": "billing",
    "defaultaddresses": "defaultaddress",
    "homeaddress": "home",
    "location": "address",
    "mailingaddress": "mailing",
    "shippingaddress": "shipping",
}
"""Names of addresses that are objects, or lists of them, as columns of addresses begin."""

_OF_IDENTIFIERS = name_set("address canonicalform number value")
"""Members of the objects that e-mail addresses and phone numbers are lists of; `value` also of other fields."""


def field_of(name: str) -> Field | None:
    """Return the field that a header name stands for by itself."""
    found = ranked_field_of(name)
    return found[0] if found else None


def is_known(name: str) -> bool:
    """Tell whether the table has a header name."""
    return ranked_field_of(name) is not None


def ranked_field_of(name: str) -> tuple[Field, tuple[int, int]] | None:
    """Return the field of a header name and its rank, the lowest first: place in the table, number of the column."""
    return _ranked(name) or _ranked_within(unwrapped(name))


def _ranked_within(name: str) -> tuple[Field, tuple[int, int]] | None:
    """Return what a name within others stands for, as `emails.value` and `billing_address.zip`."""
    around, dot, within = name.rpartition(".")
    found = _ranked(around if dot else name)
    if found is None or not dot:
        return found or _ranked_of_address(name)
    is_identifier = found[0] in IDENTIFIERS
    is_it = fold(within) in _OF_IDENTIFIERS if is_identifier else fold(within) == "value"
    return found if is_it or (is_identifier and field_of(within) == found[0]) else None


def _ranked_of_address(name: str) -> tuple[Field, tuple[int, int]] | None:
    address, _, within = name.partition(".")
    begins = _ADDRESSES.get(fold(address))
    return _ranked(begins + within) if begins and within else None


def _ranked(name: str) -> tuple[Field, tuple[int, int]] | None:
    folded = fold(name)
    bare, number = without_number(folded)
    found = _positions().get(folded) or _positions().get(bare)
    if found is None:
        return None
    field, place = found
    return field, (place, number if folded != bare else 0)


@cache
def _positions() -> dict[str, tuple[Field, int]]:
    """Return field and place of each name of the table."""
    positions: dict[str, tuple[Field, int]] = {}
    for field, names in HEADER_NAMES.items():
        positions.update({name: (field, place) for place, name in enumerate(names.split())})
    return {**dict.fromkeys(PARTNERED, ("name", 0)), **positions}
