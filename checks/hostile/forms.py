"""What is done to the parts of a form before they are joined."""

from collections.abc import Callable, Sequence

from checks.hostile.draft import Part, mark
from checks.hostile.texts import Chance, odd_text

PartsMutation = Callable[[list[Part], Chance], None]


def _part_header(parts: list[Part], chance: Chance) -> None:
    """Give a part an encoding, a charset, a type or a length, right or wrong."""
    names = [b"Content-Transfer-Encoding", b"Content-Type", b"Content-Length", b"Content-Encoding", b"X-Other"]
    charsets = [b"utf-7", b"utf-16", b"Shift_JIS", b"idna", b"rot13", b"base64", b"unicode_escape", odd_text(chance)]
    values = [b"base64", b"quoted-printable", b"7bit", b"binary", b"8BIT", b"uuencode", odd_text(chance)]
    values += [b"text/plain; charset=" + charset for charset in charsets]
    chance.choice(parts).lines.append(chance.choice(names) + b": " + chance.choice(values))


def _encoded_part(parts: list[Part], chance: Chance) -> None:
    """Say truly how a part is encoded, or nearly."""
    part = chance.choice(parts)
    charset = chance.choice(["utf-16", "utf-32", "latin-1", "shift_jis", "gb18030", "koi8-r", "cp1252"])
    part.content = (part.content.decode("utf-8", "ignore") + "é").encode(charset, "ignore")
    part.lines.append(f"Content-Type: text/plain; charset={charset}".encode())


def _part_name(parts: list[Part], chance: Chance) -> None:
    names = [b"users[]", b"batch[sessionId]", b"Users", b"name ", b"", b"user", b"users\xff", b"users%5B%5D"]
    files = [
        b"",
        b'; filename="' + odd_text(chance) + b'"',
        b"; filename*=utf-8''%ff",
        b'; filename*="' + odd_text(chance),
    ]
    line = b'Content-Disposition: form-data; name="' + chance.choice(names) + b'"' + chance.choice(files)
    chance.choice(parts).lines = [line]


def _disposition(parts: list[Part], chance: Chance) -> None:
    """Spoil how a part says what it is."""
    lines = [
        b"Content-Disposition: attachment",
        b"Content-Disposition: form-data",
        b"no header",
        b"",
        b": x",
        odd_text(chance),
    ]
    chance.choice(parts).lines = [chance.choice(lines)] * chance.choice([1, 1, 40])


def _count(parts: list[Part], chance: Chance) -> None:
    """Repeat a part or leave one out, and change their order."""
    part = chance.choice(parts)
    if len(parts) > 1 and chance.random() < 0.5:
        parts.remove(part)
    else:
        parts += [part] * chance.choice([1, 70])
    chance.shuffle(parts)


def _json(parts: list[Part], chance: Chance) -> None:
    """Put other JSON into a part, or nearly JSON."""
    value = mark(chance)
    texts = [
        "null",
        "[]",
        "{}",
        f'"{value}"',
        f"[{value}]",
        '[{"email": 5}]',
        "[" * 100_000,
        "[1e400]",
        "[NaN]",
        "true",
    ]
    texts += [f'[{{"email": "{value}", "email": "\\ud800"}}]', f'[{{"Email": "{value}", "First Name": "{value}"}}]']
    texts += [f'[{{"email": "{value * 600}"}}]', f'[{{"purchase": {{"profit": "{value}", "currency": "{value}"}}}}]']
    texts += [
        f'{{"sessionId": "{value}", "sequence": {{}}, "totalBatches": -1}}',
        "object%20Object",
        "[object FormData]",
    ]
    texts += [f"email,firstName\n{value}@example.com,{value}\n", f'{{"email": "{value}"}}\n{{"email": "{value}"}}\n']
    texts += [
        f'[{{"{"k" * chance.choice([3, 30, 3000])}": "{value}", "country": "{value}"}}]',
        f'[{{"email": "\\u0000{value}"}}]',
    ]
    chance.choice(parts).content = chance.choice(texts).encode()


def _content(parts: list[Part], chance: Chance) -> None:
    part = chance.choice(parts)
    part.content = chance.choice(
        [odd_text(chance), part.content + odd_text(chance), b"\xef\xbb\xbf" + part.content, b""]
    )


def _names(parts: list[Part], chance: Chance) -> None:
    """Name a member or a type wrongly."""
    wrong = chance.choice(
        [(b"email", b"Email"), (b"sessionId", b"sessionID"), (b"custom", b"Custom"), (b"sequence", b"seq")]
    )
    for part in parts:
        part.content = part.content.replace(*wrong)


PARTS_MUTATIONS: Sequence[PartsMutation] = (
    *(_part_header, _encoded_part, _part_name, _disposition, _count, _json, _content, _names),
)
