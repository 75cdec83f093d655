"""Made-up people as lists bring them: clean, untidy and hostile, the same ones on every machine and Python."""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from schemas.records import AudienceUser, Purchase

T = TypeVar("T")

SEED = 20_261_128

FIRST = (
    "Ada",
    "Alan",
    "Anne-Marie",
    "Björk",
    "Chloé",
    "Dmitri",
    "Émile",
    "François",
    "Grace",
    "İpek",
    "Jörg",
    "Łukasz",
    "Mary",
    "Nguyễn",
    "O'Brian",
    "Zoë",
    "정",
    "美咲",
    "محمد",
    "Đorđe",
)
LAST = (
    "Lovelace",
    "Turing",
    "O'Neil",
    "Müller",
    "Ærø",
    "D’Angelo",
    "García-López",
    "Nuñez",
    "Smith-Jones",
    "Straße",
    "Šimić",
    "김",
    "山田",
    "Иванов",
    "van_der_Berg",
    "Null",
    "Nan",
)
HOSTS = (
    "example.com",
    "example.org",
    "mail.example.com",
    "EXAMPLE.NET",
    "sub.domain.example.co.uk",
    "gmail.com",
    "googlemail.com",
    "docomo.ne.jp",
    "müller.example.com",
)
WORDS = ("ada", "alan", "jane.doe", "john_smith", "mary", "o'neil", "1grace", "zoë", "x", "jörg", "a.b.c", "d-e")

# Countries as people write them, and how their numbers are written: the country code, what is dialled within the country
# only, and patterns of numbers, a # for any digit. Those for films and examples where a plan has some.
COUNTRIES: Sequence[tuple[Sequence[str], str, str, Sequence[str], Sequence[str]]] = [
    (("US", "USA", "United States", "us"), "1", "", ("(415) 555-01##", "212-555-####", "65055512##"), ("94107", "94107-1234", "02110", "2110")),
    (("CA", "Canada"), "1", "", ("613-555-01##", "(416) 555 ####"), ("K1A 0A6", "m5v 3l9")),
    (("GB", "UK", "United Kingdom", "England"), "44", "0", ("20 7946 0###", "7700 900###", "161 496 0###"), ("SW1A 1AA", "M1 1AE", "ec1a1bb")),
    (("DE", "Germany", "DEU"), "49", "0", ("30 23125###", "1512 34567##", "30 901820", "89 1234-0"), ("10117", "01067", "1067", "D-80331")),
    (("FR", "France"), "33", "0", ("1 99 00 ## ##", "6 39 98 ## ##"), ("75001", "1000", "F-13001")),
    (("IT", "Italy"), "39", "", ("06 698 12###", "312 345 67##"), ("00118", "118", "20121")),
    (("ES", "Spain"), "34", "", ("91 000 ## ##", "612 34 56 ##"), ("28013", "8001")),
    (("AT", "Austria"), "43", "0", ("1 534##", "664 1234567"), ("1010", "A-1010")),
    (("CH", "Switzerland"), "41", "0", ("44 668 18 ##", "79 123 45 ##"), ("8001", "CH-8001")),
    (("MX", "Mexico"), "52", "01", ("55 1234 56##", "1 55 1234 56##"), ("06000", "6000")),
    (("AR", "Argentina"), "54", "0", ("11 15 2345 67##", "9 11 2345 67##"), ("C1002", "1002")),
    (("RU", "Russia", "Russian Federation"), "7", "8", ("495 123 45 ##", "912 345 67 ##"), ("101000", "101 000")),
    (("JP", "Japan"), "81", "0", ("3 1234 56##", "90 1234 56##"), ("100-0001", "1000001", "〒100-0001")),
    (("BR", "Brazil"), "55", "0", ("11 91234 56##", "21 2345 67##"), ("01310-100", "1310100")),
    (("IN", "India"), "91", "0", ("22 1234 56##", "98765 432##"), ("400001", "400 001")),
    (("AU", "Australia"), "61", "0", ("2 5550 ####", "491 570 ###"), ("2000", "0800", "800")),
    (("NL", "the Netherlands", "Holland"), "31", "0", ("20 123 45 ##", "6 123456##"), ("1012 AB", "1012ab")),
    (("PL", "Poland"), "48", "", ("22 123 45 ##", "512 345 6##"), ("00-001", "1-001", "00001")),
    (("KR", "South Korea", "Korea, Republic of"), "82", "0", ("2 312 34##", "10 1234 56##"), ("03051", "3051")),
    (("SE", "Sweden"), "46", "0", ("8 465 004 ##", "70 174 06 ##"), ("111 22", "11122")),
    (("XK", "Kosovo"), "383", "0", ("43 123 4##",), ("10000",)),
    (("AM", "Armenia"), "374", "0", ("93 8282##",), ("0010", "10")),
    (("Côte d'Ivoire", "Ivory Coast", "CI"), "225", "", ("01 23 45 67 ##",), ("01", "BP 1")),
    (("Atlantis", "EU", "Virgin Islands", "--", "12"), "999", "0", ("123 456 ##",), ("-", "!!", "00-1")),
]  # fmt: skip

BLANKS = ("", " ", "  ", "\t", "\n", "\xa0", "\u3000", "\u200b", "\ufeff", " \u00ad ", '""', "''", '=""', "\0")
EMPTY_WORDS = ("null", "NULL", "None", "nan", "N/A", "undefined", "(null)", "#N/A", "#VALUE!", "#NV", "[object Object]",
               "\\N", "{}", "00000000-0000-0000-0000-000000000000", "nil", "Null")  # fmt: skip
HASHES = tuple(
    hashlib.new(kind, text.encode()).hexdigest()
    for kind in ("sha256", "md5", "sha1", "sha512")
    for text in ("", " ", "null", "+1", "jane@example.com", "+14155550100")
)
NUMBERS = ("4.47911E+11", "4.47911123456E+11", "1,23456E+10", "1E+5", "447911123456.0", "+447911123456,00", "415,555,0100",
           "447,911,123,456.0", "030.901820.0", "-5", "0", "0000000", "+0000000000", "+1234567890123456", "1.5", "1234567,5")  # fmt: skip
PHONES = ("+44 (0)20 7946 0958", "+001-415-555-0100", "011 44 20 7946 0958", "00 49 30 901820", "+49 030 901820", "030/901820",
          "tel:+1-415-555-0100", "+1 415 555 0100 ext. 5", "4155550100x5", "030 1234-0", "Mobile 2: 0151 12345678", "+1 415 555 0100 / 68",
          "020 7946 0958 or 020 7946 0959", "4155550100;ext=5", "4155550100;phone-context=+1", "(415) 555-0100 (home)", "+4915112345678",
          "4915112345678", "14155550100", "447911123456", "8 (495) 123-45-67", "+7 8 495 123 45 67", "+52 1 55 1234 5678", "+54 11 15 2345 6789",
          "+390669812345", "+39 6 69812345", "call me", "030 1234567 Mama", "+", "++14155550100", "14155550100+", "+1415555\u06f0\u06f1\u06f0\u06f0",
          "\uff0b44 \uff12\uff10 7946 0958", "\u202a+44 20 7946 0958\u202c", "'01067", "+1 (415) 555-0100 #123", "+1 415 555 0100,,5",
          "+31 20 123 45 67 (2)", "+81 3 1234 5678 内線 12", "112", "12345", "+886 2 1234 5678", "+800 1234 5678", "+1 800 FLOWERS")  # fmt: skip
EMAILS = ("Jane <jane@example.com>", "mailto:jane@example.com?subject=x", "jane@example.com;", "jane @ example.com", "'jane@example.com",
          "jane@example.com (work)", "E-Mail: jane@example.com", "[mailto:jane@example.com]", "jane@example.com\u200b", "jane＠example.com",
          "a..b@docomo.ne.jp", "a.@ezweb.ne.jp", "a..b@example.com", "a@@example.com", "a@example", "a@localhost", "a@example.test",
          "two words@example.com", "a@b@example.com", "jane@example.com,john@example.com", "jane@exa_mple.com", "jane@-example.com", "@example.com",
          "jane@", "jane.doe+news@GMAIL.com", "j.a.n.e@googlemail.com", "vale\u0301ry@example.com", "用户@例子.example.com", "jane%20@example.com",
          "%20jane@example.com&nbsp;", "\u201cjane@example.com\u201d", '="jane@example.com"', "jane\u2011doe@example.com", "jane@example。com",
          "x" * 64 + "@example.com", "x" * 65 + "@example.com", "a@" + "b" * 63 + ".example.com", "a@" + "b" * 64 + ".com", "jane@[127.0.0.1]",
          "+x@example.com", "....@example.com", "nobody", "http://example.com", "jane@example.com\njohn@example.com", "JANE@EXAMPLE.COM")  # fmt: skip
CHARACTERS = (
    "abcXYZ019 .,;:'\"-_+@#%&/\\()[]{}<>=|~^`$!?*\t\n\r\x00\x1f\x7f\x85\xa0\u00ad\u200b\u200d\u202e\u2066\ufeff\ufffd"
    "éÉßſİıÅå\u0301\u0308ñÑΣςЖжאبเ日本語ㄱ\u0660\u0665\u06f1\uff11\uff21\uff20\u3002\u2019\u2013\u2212\U0001f600\U0001d7d8ﬁ"
)
CURRENCIES = (
    "EUR",
    "eur",
    " EUR ",
    "USD",
    "usd",
    "GBP",
    "",
    " ",
    "€",
    "nan",
    "null",
    "\ufffd",
    "EURO",
    "N/A",
    "12",
    "\u200bEUR",
)
AMOUNTS = (0.0, -0.0, 0.1, 12.5, 44.0, -5.0, 1e-9, 1e15, 1e16, 123456789.123456789, 1.7976931348623157e308, 5e-324,
           float("nan"), float("inf"), float("-inf"))  # fmt: skip


class _Chance:
    """Chance that is the same everywhere: of Python's generator only `random()` promises that between versions."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, bound: int) -> int:
        return int(self._random() * bound)

    def of(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def happens(self, in_100: int) -> bool:
        return self.below(100) < in_100

    def maybe(self, in_100: int, make: Callable[[], T]) -> T | None:
        return make() if self.happens(in_100) else None

    def digits(self, pattern: str) -> str:
        return "".join(str(self.below(10)) if letter == "#" else letter for letter in pattern)


def make_people(count: int, seed: int = SEED) -> Iterator[AudienceUser]:
    """Yield people, four in ten clean, three untidy, three hostile, in no order."""
    chance = _Chance(seed)
    for number in range(count):
        kind = chance.below(10)
        yield _clean(chance, number) if kind < 4 else _untidy(chance, number) if kind < 7 else _hostile(chance, number)


def _clean(chance: _Chance, number: int) -> AudienceUser:
    names, code, _, patterns, postal_codes = chance.of(COUNTRIES[:-2])
    return AudienceUser(
        edge_tag_id=chance.maybe(70, lambda: f"edge-{number}"),
        email=chance.maybe(85, lambda: f"person{number}@{chance.of(HOSTS[:3])}"),
        phone=chance.maybe(70, lambda: _international(chance, code, chance.of(patterns))),
        first_name=chance.maybe(80, lambda: chance.of(FIRST)),
        last_name=chance.maybe(80, lambda: chance.of(LAST)),
        country=chance.maybe(80, lambda: names[0]),
        postal_code=chance.maybe(70, lambda: postal_codes[0]),
        purchase=chance.maybe(50, lambda: _purchase(chance)),
    )


def _international(chance: _Chance, code: str, pattern: str) -> str:
    return f"+{code}" + "".join(letter for letter in chance.digits(pattern) if letter.isdecimal())


def _purchase(chance: _Chance) -> Purchase:
    return Purchase(
        currency=chance.maybe(80, lambda: chance.of(CURRENCIES[:7])),
        profit=chance.maybe(70, lambda: chance.below(100_000) / 8),
        total_7_days=chance.maybe(50, lambda: chance.below(10_000) / 4 - 100),
    )


def _untidy(chance: _Chance, number: int) -> AudienceUser:
    names, code, trunk, patterns, postal_codes = chance.of(COUNTRIES)
    return AudienceUser(
        edge_tag_id=chance.maybe(60, lambda: _padded(chance, f"Edge {number}")),
        email=chance.maybe(80, lambda: _padded(chance, f"{chance.of(WORDS)}{number}{chance.of(('', '+news', '.x'))}@{chance.of(HOSTS)}")),
        phone=chance.maybe(85, lambda: _padded(chance, _written(chance, code, trunk, chance.of(patterns)))),
        first_name=chance.maybe(80, lambda: _padded(chance, chance.of(FIRST) + chance.of(("", " Jr.", " 2", "-Lou")))),
        last_name=chance.maybe(80, lambda: _padded(chance, chance.of(LAST))),
        country=chance.maybe(75, lambda: _padded(chance, chance.of(names))),
        postal_code=chance.maybe(75, lambda: _padded(chance, chance.of(postal_codes))),
        purchase=chance.maybe(40, lambda: _odd_purchase(chance)),
    )  # fmt: skip


def _written(chance: _Chance, code: str, trunk: str, pattern: str) -> str:
    """Return a number as people write it: nationally, internationally, with what belongs to one in the other."""
    number = chance.digits(pattern)
    prefix = chance.of(
        (trunk, trunk, f"+{code} ", f"00{code} ", f"+{code} ({trunk})", f"+{code} {trunk}", code, f"+{code}-", "")
    )
    return prefix + number + chance.of(("", "", "", ".0", " ext 12", " (2)", "/5", " mobile"))


def _padded(chance: _Chance, text: str) -> str:
    made: Sequence[Callable[[str], str]] = (
        str, str, str, str.upper, str.lower, lambda text: f" {text} ", lambda text: f"{text}\t", lambda text: f'"{text}"',
        lambda text: f"'{text}", lambda text: f'="{text}"', lambda text: f"\ufeff{text}", lambda text: f"{text}\u200b",
        lambda text: text.replace(" ", "\xa0"), lambda text: text.replace("é", "e\u0301"), lambda text: f"{text};",
    )  # fmt: skip
    return chance.of(made)(text)


def _odd_purchase(chance: _Chance) -> Purchase:
    return Purchase(
        currency=chance.maybe(80, lambda: chance.of(CURRENCIES)),
        profit=chance.maybe(70, lambda: chance.of(AMOUNTS)),
        total_7_days=chance.maybe(60, lambda: chance.of(AMOUNTS)),
    )


def _hostile(chance: _Chance, number: int) -> AudienceUser:
    """Return somebody with values that no list should have, half of them in the wrong field."""

    def value() -> str:
        kind = chance.below(12)
        if kind == 0:
            return "".join(chance.of(CHARACTERS) for _ in range(chance.below(24)))
        if kind == 1:
            return _digested(chance)
        if kind == 2:
            return chance.of(("e", "0", "x@", "+1")) * chance.of((127, 128, 255, 256, 400, 401, 512))
        pools = (BLANKS, EMPTY_WORDS, NUMBERS, PHONES, EMAILS, EMAILS, PHONES, FIRST, chance.of(COUNTRIES)[0])
        return _bent(chance, chance.of(pools[kind - 3]))

    user = AudienceUser(
        edge_tag_id=chance.maybe(50, value),
        email=chance.maybe(70, lambda: _bent(chance, chance.of(EMAILS)) if chance.happens(60) else value()),
        phone=chance.maybe(70, lambda: _bent(chance, chance.of(PHONES)) if chance.happens(60) else value()),
        first_name=chance.maybe(50, value),
        last_name=chance.maybe(50, value),
        country=chance.maybe(60, lambda: chance.of(chance.of(COUNTRIES)[0]) if chance.happens(60) else value()),
        postal_code=chance.maybe(60, lambda: chance.of(chance.of(COUNTRIES)[4]) if chance.happens(50) else value()),
        purchase=chance.maybe(50, lambda: _odd_purchase(chance)),
    )
    return AudienceUser() if number % 997 == 0 else user


def _digested(chance: _Chance) -> str:
    digest = chance.of(HASHES)
    return chance.of(
        (digest, digest.upper(), f" {digest}\n", f"0x{digest}", digest[:-1], f"'{digest}", f'="{digest}"', digest + "0")
    )


def _bent(chance: _Chance, text: str) -> str:
    """Return a text with a letter put in, taken out, doubled or none, or put around with something."""
    place = chance.below(len(text) + 1)
    letter = chance.of(CHARACTERS)
    kinds = (text, text, text, text[:place] + letter + text[place:], text[:place] + text[place + 1 :], letter + text,
             text + letter, text + text, _padded(chance, text))  # fmt: skip
    return chance.of(kinds)[:1024]
