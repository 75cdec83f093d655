"""Customer files as shops, CRMs and ad platforms export them, of made-up people; `python tests/exports.py FOLDER`."""

import csv
import gzip
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl
import pyarrow as arrow
from pyarrow import parquet

User = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is in all exports; nobody."""

    first: str
    last: str
    email: str
    phone: str
    country: str
    country_name: str
    postal_code: str

    @property
    def full(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def email_sha256(self) -> str:
        return hashlib.sha256(self.email.encode()).hexdigest()


PEOPLE = (
    Person("Ada", "Lovelace", "ada@example.com", "+44 7911 123456", "GB", "United Kingdom", "SW1A 1AA"),
    Person("Jörg", "Müller", "joerg.mueller@example.com", "0049 151 1234567", "DE", "Germany", "01067"),
    Person("Anne-Marie", "O'Neil", "Anne.Marie@example.org", "(415) 555-0154", "US", "United States", "94107"),
    Person("Chloé", "Brûlé, fille", "chloe@example.org", "+33 6 12 34 56 78", "FR", "France", "75001"),
    Person('Grace "Amazing"', "Hopper", "grace@example.com", "'+14155550100", "US", "United States", "02134-1000"),
)

Fields = Mapping[str, str]
"""Fields of a user, and the attribute of a person that each comes from."""

EMAIL: Fields = {"email": "email"}
NAMES: Fields = {"firstName": "first", "lastName": "last"}
PHONE: Fields = {"phone": "phone"}
COUNTRY: Fields = {"country": "country"}
COUNTRY_NAME: Fields = {"country": "country_name"}
ZIP: Fields = {"postalCode": "postal_code"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One kind of export: the header as it is found, what its columns hold, and what users it means."""

    name: str
    header: Sequence[str]
    filled: Mapping[str, str] = field(default_factory=dict)
    """Columns that hold an attribute of a person, by header; what is not named holds a word or nothing."""

    fields: Fields
    suffix: str = ".csv"
    write: Callable[["Export", Path], None]

    def rows(self) -> list[list[str]]:
        """Return a row for each person."""
        return [[self._cell(column, person) for column in self.header] for person in PEOPLE]

    def users(self) -> list[User]:
        """Return the users that the file means."""
        return [{name: getattr(person, of) for name, of in self.fields.items()} for person in PEOPLE]

    def _cell(self, column: str, person: Person) -> str:
        if column in self.filled:
            return str(getattr(person, self.filled[column]))
        return OTHERS.get(column, "")


OTHERS = {
    "Note": "likes tea, and\nbiscuits",
    "Notes": "likes tea",
    "NOTES": "likes tea",
    "Tags": "vip, newsletter",
    "TAGS": '"VIP","Blog"',
    "Accepts Email Marketing": "yes",
    "Accepts Marketing": "yes",
    "Email Marketing Consent": "SUBSCRIBED",
    "Email Subscription Status": "Subscribed",
    "Total Spent": "1234.50",
    "Lifetime Spend": "$1,234.50",
    "Sales": "1.234,50 €",
    "CC": "CH",
    "IP Address": "192.0.2.1",
    "OPTIN_IP": "192.0.2.1",
    "password_hash": "$2y$10$abcdefghijklmnopqrstuv",
    "rp_token": "abcdef",
    "Default Address Company": "Example Ltd",
    "Date Joined": "2026-11-28",
}


def as_csv(
    separator: str = ",", encoding: str = "utf-8", quoting: int = csv.QUOTE_MINIMAL, end: str = "\r\n"
) -> Callable[[Export, Path], None]:
    """Return what writes an export as text."""

    def write(export: Export, path: Path) -> None:
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end)  # type: ignore[arg-type] # an int
            writer.writerows([export.header, *export.rows()])

    return write


def as_magento_combined(export: Export, path: Path) -> None:
    """Write a second address of each customer on a line of its own, which has nothing but that."""
    rows = []
    for row in export.rows():
        second = [
            "99999" if name == "_address_postcode" else "XX" if name.startswith("_address") else ""
            for name in export.header
        ]
        rows += [row, second]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([export.header, *rows])


def as_orders(export: Export, path: Path) -> None:
    """Write two more lines for each order, of items, which repeat its number and address only."""
    rows = []
    for number, row in enumerate(export.rows(), 1001):
        order = dict(zip(export.header, row, strict=True)) | {
            "Name": f"#{number}",
            "Lineitem name": "Tea",
            "Financial Status": "paid",
        }
        item = dict.fromkeys(export.header, "") | {
            "Name": f"#{number}",
            "Email": order["Email"],
            "Lineitem name": "Cup",
        }
        rows += [list(order.values()), list(item.values()), list(item.values())]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([export.header, *rows])


def as_excel(export: Export, path: Path) -> None:
    """Write a workbook whose postal codes of digits are numbers with a format of zeros."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.append(list(export.header))
    for row in export.rows():
        sheet.append(row)
        for cell in sheet[sheet.max_row]:
            if isinstance(cell.value, str) and cell.value.isdigit() and len(cell.value) == 5:
                cell.value, cell.number_format = int(cell.value), "00000"
    workbook.create_sheet("empty")
    workbook.save(path)


def as_json_lines(export: Export, path: Path) -> None:
    """Write one object a line, with what is empty left out."""
    lines = [{name: cell for name, cell in zip(export.header, row, strict=True) if cell} for row in export.rows()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def as_nested_json(export: Export, path: Path) -> None:
    """Write an array of objects, whose dotted names are objects within them."""
    entries = []
    for row in export.rows():
        entry: dict[str, object] = {}
        for name, cell in zip(export.header, row, strict=True):
            outer, dot, inner = name.partition(".")
            if dot:
                within = entry.setdefault(outer, {})
                assert isinstance(within, dict)
                within[inner] = cell
            else:
                entry[name] = cell
        entries.append(entry)
    path.write_text(json.dumps(entries, ensure_ascii=False, indent=1), encoding="utf-8")


def as_parquet(export: Export, path: Path) -> None:
    """Write texts, large texts and dictionaries, as several programs do."""
    kinds = [arrow.string(), arrow.large_string(), arrow.dictionary(arrow.int32(), arrow.string())]
    columns = zip(*export.rows(), strict=True)
    arrays = [arrow.array(cells, arrow.string()).cast(kinds[place % 3]) for place, cells in enumerate(columns)]
    parquet.write_table(arrow.table(arrays, names=list(export.header)), path)


def zipped(write: Callable[[Export, Path], None]) -> Callable[[Export, Path], None]:
    """Return what writes an export into an archive, as large ones come."""

    def write_zip(export: Export, path: Path) -> None:
        inner = path.with_suffix(".inner")
        write(export, inner)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(inner, "export/contacts.csv")
            archive.writestr("__MACOSX/export/._contacts.csv", b"\0\5")
        inner.unlink()

    return write_zip


def gzipped(write: Callable[[Export, Path], None]) -> Callable[[Export, Path], None]:
    """Return what writes an export compressed."""

    def write_gzip(export: Export, path: Path) -> None:
        inner = path.with_suffix(".inner")
        write(export, inner)
        path.write_bytes(gzip.compress(inner.read_bytes()))
        inner.unlink()

    return write_gzip


def split(header: str, separator: str = ",") -> list[str]:
    """Return the names of a header row."""
    return next(csv.reader(io.StringIO(header), delimiter=separator))


SHOPIFY = (
    "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,Default Address Address1,"
    "Default Address Address2,Default Address City,Default Address Province Code,Default Address Country Code,"
    "Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,Total Orders,Note,Tax Exempt,Tags,"
    "Birthday (customer.metafields.facts.birth_date)"
)
SHOPIFY_ORDERS = (
    "Name,Email,Financial Status,Currency,Total,Lineitem quantity,Lineitem name,Lineitem price,Billing Name,Billing Zip,"
    "Billing Country,Shipping Name,Shipping Zip,Shipping Country,Billing Phone,Phone,Vendor"
)
MAGENTO_COMBINED = (
    "email,_website,_store,confirmation,created_at,dob,firstname,gender,group_id,lastname,password_hash,rp_token,store_id,"
    "taxvat,website_id,password,_address_city,_address_country_id,_address_firstname,_address_lastname,_address_postcode,"
    "_address_street,_address_telephone,_address_default_billing_"
)
KLAVIYO = (
    "Email,Klaviyo ID,First Name,Last Name,Organization,Title,Phone Number,Address,Address 2,City,State / Region,Country,"
    "Zip Code,Latitude,Longitude,Source,IP Address,Email Marketing Consent,Email Marketing Consent Timestamp,"
    "Historic Customer Lifetime Value,Total Customer Lifetime Value,Date Added"
)
SQUARE = (
    "Reference ID,First Name,Last Name,Email Address,Phone Number,Nickname,Company Name,Street Address 1,Street Address 2,"
    "City,State,Postal Code,Birthday,Memo,Square Customer ID,Creation Source,First Visit,Last Visit,Transaction Count,"
    "Lifetime Spend,Email Subscription Status,Instant Profile"
)
SALESFORCE = (
    "Id,AccountId,FirstName,LastName,Salutation,Email,Phone,MobilePhone,HomePhone,OtherPhone,MailingStreet,MailingCity,"
    "MailingState,MailingPostalCode,MailingCountry,HasOptedOutOfEmail,DoNotCall,CurrencyIsoCode"
)
WIX = (
    "First Name,Last Name,Email 1,Phone 1,Email 2,Company,Address 1 - Street,Address 1 - City,Address 1 - State/Region,"
    "Address 1 - Zip,Address 1 - Country,Labels,Source,Email subscriber status,SMS subscriber status"
)
MAILCHIMP = (
    "Email Address,First Name,Last Name,Address,Phone Number,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
    "LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS"
)
BY_NAME = {"First Name": "first", "Last Name": "last"}

EXPORTS: tuple[Export, ...] = (
    Export(
        name="shopify customers",
        header=split(SHOPIFY),
        filled={
            **BY_NAME,
            "Email": "email",
            "Default Address Country Code": "country",
            "Default Address Zip": "postal_code",
            "Default Address Phone": "phone",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(),
    ),
    Export(
        name="shopify before 2022",
        header=split(
            "First Name,Last Name,Email,Company,Address1,City,Province Code,Country Code,Zip,Phone,Accepts Marketing"
        ),
        filled={**BY_NAME, "Email": "email", "Country Code": "country", "Zip": "postal_code", "Phone": "phone"},
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(end="\n"),
    ),
    Export(
        name="shopify orders",
        header=split(SHOPIFY_ORDERS),
        filled={
            "Email": "email",
            "Billing Name": "full",
            "Billing Zip": "postal_code",
            "Billing Country": "country",
            "Billing Phone": "phone",
        },
        fields={**EMAIL, **PHONE, **COUNTRY, **ZIP},
        write=as_orders,
    ),
    Export(
        name="woocommerce customers",
        header=split(
            "Name,Username,Last Active,Sign Up,Email,Orders,Total Spend,AOV,Country / Region,City,Region,Postal Code"
        ),
        filled={"Name": "full", "Email": "email", "Country / Region": "country", "Postal Code": "postal_code"},
        fields={**EMAIL, **COUNTRY, **ZIP},
        write=as_csv(encoding="utf-8-sig", end="\n"),
    ),
    Export(
        name="bigcommerce customers",
        header=split(
            "Customer ID,First Name,Last Name,Company,Email,Phone,Notes,Store Credit,Customer Group,Date Joined"
        ),
        filled={**BY_NAME, "Email": "email", "Phone": "phone"},
        fields={**EMAIL, **PHONE, **NAMES},
        write=as_csv(),
    ),
    Export(
        name="magento grid",
        header=split("ID,Name,Email,Group,Phone,ZIP,Country,State/Province,Customer Since,Web Site"),
        filled={"Name": "full", "Email": "email", "Phone": "phone", "ZIP": "postal_code", "Country": "country_name"},
        fields={**EMAIL, **PHONE, **COUNTRY_NAME, **ZIP},
        write=as_csv(quoting=csv.QUOTE_ALL, end="\n"),
    ),
    Export(
        name="magento main file",
        header=split(
            "email,_website,_store,confirmation,created_at,created_in,dob,firstname,gender,group_id,lastname,middlename,"
            "password_hash,prefix,rp_token,rp_token_created_at,store_id,suffix,taxvat,updated_at,website_id,password"
        ),
        filled={"email": "email", "firstname": "first", "lastname": "last"},
        fields={**EMAIL, **NAMES},
        write=as_csv(end="\n"),
    ),
    Export(
        name="magento combined",
        header=split(MAGENTO_COMBINED),
        filled={
            "email": "email",
            "firstname": "first",
            "lastname": "last",
            "_address_country_id": "country",
            "_address_postcode": "postal_code",
            "_address_telephone": "phone",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_magento_combined,
    ),
    Export(
        name="klaviyo list",
        header=split(KLAVIYO),
        filled={
            **BY_NAME,
            "Email": "email",
            "Phone Number": "phone",
            "Country": "country_name",
            "Zip Code": "postal_code",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY_NAME, **ZIP},
        suffix=".csv.gz",
        write=gzipped(as_csv(encoding="utf-8-sig")),
    ),
    Export(
        name="hubspot contacts",
        header=split(
            "Record ID - Contact,First Name,Last Name,Email,Phone Number,Contact owner,Last Activity Date,Lead Status,"
            "Marketing contact status,Postal Code,Country/Region"
        ),
        filled={
            **BY_NAME,
            "Email": "email",
            "Phone Number": "phone",
            "Postal Code": "postal_code",
            "Country/Region": "country_name",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY_NAME, **ZIP},
        suffix=".zip",
        write=zipped(as_csv()),
    ),
    Export(
        name="hubspot contacts as a workbook",
        header=split("Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Postal Code,Country/Region"),
        filled={
            **BY_NAME,
            "Email": "email",
            "Phone Number": "phone",
            "Postal Code": "postal_code",
            "Country/Region": "country_name",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY_NAME, **ZIP},
        suffix=".xlsx",
        write=as_excel,
    ),
    Export(
        name="mailchimp audience",
        header=split(MAILCHIMP),
        filled={**BY_NAME, "Email Address": "email", "Phone Number": "phone"},
        fields={**EMAIL, **PHONE, **NAMES},
        write=as_csv(end="\n"),
    ),
    Export(
        name="salesforce data loader",
        header=split(SALESFORCE),
        filled={
            "FirstName": "first",
            "LastName": "last",
            "Email": "email",
            "MobilePhone": "phone",
            "MailingPostalCode": "postal_code",
            "MailingCountry": "country_name",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY_NAME, **ZIP},
        write=as_csv(quoting=csv.QUOTE_ALL),
    ),
    Export(
        name="salesforce in capitals",
        header=split("ID,FIRSTNAME,LASTNAME,EMAIL,PHONE,MAILINGPOSTALCODE,MAILINGCOUNTRYCODE,MAILINGCOUNTRY"),
        filled={
            "FIRSTNAME": "first",
            "LASTNAME": "last",
            "EMAIL": "email",
            "PHONE": "phone",
            "MAILINGPOSTALCODE": "postal_code",
            "MAILINGCOUNTRYCODE": "country",
            "MAILINGCOUNTRY": "country_name",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(quoting=csv.QUOTE_ALL),
    ),
    Export(
        name="stripe customers",
        header=split(
            "id,Description,Email,Name,Created (UTC),Delinquent,Card Last4,Card Brand,Plan,Status,Total Spend,Payment Count,"
            "Refunded Volume,Dispute Losses,tag (metadata)"
        ),
        filled={"Email": "email", "Name": "full"},
        fields=EMAIL,
        write=as_csv(end="\n"),
    ),
    Export(
        name="square directory",
        header=split(SQUARE),
        filled={**BY_NAME, "Email Address": "email", "Phone Number": "phone", "Postal Code": "postal_code"},
        fields={**EMAIL, **PHONE, **NAMES, **ZIP},
        write=as_csv(),
    ),
    Export(
        name="squarespace profiles",
        header=split(
            "Email,First Name,Last Name,Created On,Subscriber Since,Subscriber Source,Mailing Lists,Tags,Last Order ID,"
            "Order Count,Total Spent,Shipping Name,Shipping Zip,Shipping Country,Billing Name,Billing Zip,Billing Country"
        ),
        filled={**BY_NAME, "Email": "email", "Billing Zip": "postal_code", "Billing Country": "country"},
        fields={**EMAIL, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(),
    ),
    Export(
        name="wix contacts",
        header=split(WIX),
        filled={
            **BY_NAME,
            "Email 1": "email",
            "Phone 1": "phone",
            "Address 1 - Zip": "postal_code",
            "Address 1 - Country": "country",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(encoding="utf-8-sig"),
    ),
    Export(
        name="prestashop customers",
        header=split(
            "ID;Social title;First name;Last name;Email address;Group;Company;Sales;Enabled;Newsletter;Partner offers;"
            "Registration;Last visit",
            ";",
        ),
        filled={"First name": "first", "Last name": "last", "Email address": "email"},
        fields={**EMAIL, **NAMES},
        write=as_csv(";", end="\n"),
    ),
    Export(
        name="prestashop in french",
        header=split("Id;Titre;Prénom;Nom;Adresse e-mail;Téléphone;Ventes;Code postal;Pays;Newsletter", ";"),
        filled={
            "Prénom": "first",
            "Nom": "last",
            "Adresse e-mail": "email",
            "Téléphone": "phone",
            "Code postal": "postal_code",
            "Pays": "country",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(";", end="\n"),
    ),
    Export(
        name="a german shop from excel",
        header=split("Kundennummer;Anrede;Vorname;Nachname;E-Mail-Adresse;Straße;PLZ;Ort;Land;Telefonnummer", ";"),
        filled={
            "Vorname": "first",
            "Nachname": "last",
            "E-Mail-Adresse": "email",
            "PLZ": "postal_code",
            "Land": "country",
            "Telefonnummer": "phone",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(";", "cp1252"),
    ),
    Export(
        name="a spanish list as unicode text of excel",
        header=split("Nombre\tApellidos\tCorreo electrónico\tTeléfono móvil\tCódigo postal\tPaís", "\t"),
        filled={
            "Nombre": "first",
            "Apellidos": "last",
            "Correo electrónico": "email",
            "Teléfono móvil": "phone",
            "Código postal": "postal_code",
            "País": "country",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        suffix=".txt",
        write=as_csv("\t", "utf-16"),
    ),
    Export(
        name="meta template",
        header=split("email,email,email,phone,phone,phone,madid,fn,ln,zip,ct,st,country,dob,doby,gen,age,uid,value"),
        filled={
            "email": "email",
            "phone": "phone",
            "fn": "first",
            "ln": "last",
            "zip": "postal_code",
            "country": "country",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(),
    ),
    Export(
        name="google template",
        header=split("Email,Email,Phone,First Name,Last Name,Country,Zip"),
        filled={**BY_NAME, "Email": "email", "Phone": "phone", "Country": "country", "Zip": "postal_code"},
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        write=as_csv(),
    ),
    Export(
        name="tiktok customer file",
        header=["Email_SHA256", "MAID_MD5"],
        filled={"Email_SHA256": "email_sha256"},
        fields={"email": "email_sha256"},
        suffix=".txt",
        write=as_csv(end="\n"),
    ),
    Export(
        name="one column",
        header=["email"],
        filled={"email": "email"},
        fields=EMAIL,
        write=as_csv(end="\n"),
    ),
    Export(
        name="traits of segment",
        header=split("userId,traits_email,email,phone,firstName,lastName,country,postalCode,edgeTagId"),
        filled={
            "email": "email",
            "phone": "phone",
            "firstName": "first",
            "lastName": "last",
            "country": "country",
            "postalCode": "postal_code",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        suffix=".jsonl",
        write=as_json_lines,
    ),
    Export(
        name="an api's answer",
        header=split("id,email,first_name,last_name,address.zip,address.country_code,address.phone"),
        filled={
            "email": "email",
            "first_name": "first",
            "last_name": "last",
            "address.zip": "postal_code",
            "address.country_code": "country",
            "address.phone": "phone",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        suffix=".json",
        write=as_nested_json,
    ),
    Export(
        name="a table of a warehouse",
        header=split("customer_id,email_address,phone_number,given_name,family_name,country_iso2,post_code"),
        filled={
            "email_address": "email",
            "phone_number": "phone",
            "given_name": "first",
            "family_name": "last",
            "country_iso2": "country",
            "post_code": "postal_code",
        },
        fields={**EMAIL, **PHONE, **NAMES, **COUNTRY, **ZIP},
        suffix=".parquet",
        write=as_parquet,
    ),
)


def write_all(folder: Path) -> None:
    """Write every export into a folder."""
    for export in EXPORTS:
        export.write(export, folder / (export.name.replace(" ", "-") + export.suffix))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
