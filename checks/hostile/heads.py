"""What is done to whole requests: to their first line, their headers, the framing and the bytes of the body."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from urllib.parse import quote

from checks.hostile.draft import BOUNDARY, Draft, mark
from checks.hostile.texts import Chance, odd_text

Mutation = Callable[[Draft, Chance], None]


def _bytes(draft: Draft, chance: Chance) -> None:
    """Change, insert or remove some bytes of the body."""
    data = bytearray(draft.body)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(data) + 1)
        data[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
    draft.body = bytes(data)


def _piece(draft: Draft, chance: Chance) -> None:
    """Repeat, remove or move a piece of the body."""
    start, end = sorted(chance.randrange(len(draft.body) + 1) for _ in range(2))
    piece = draft.body[start:end][:2000]
    rest = draft.body[:start] + draft.body[start + len(piece) :]
    at = chance.randrange(len(rest) + 1)
    draft.body = rest[:at] + piece * chance.randint(0, 3) + rest[at:]


def _cut(draft: Draft, chance: Chance) -> None:
    """End the body early, its length as it was said or not."""
    whole = len(draft.body)
    draft.body = draft.body[: chance.randrange(whole + 1)]
    if not draft.is_framed and chance.random() < 0.5:
        draft.put(b"Content-Length", str(whole).encode())
        draft.is_framed = True
    draft.is_whole = not draft.is_framed


def _line_ends(draft: Draft, chance: Chance) -> None:
    draft.body = draft.body.replace(b"\r\n", chance.choice([b"\n", b"\r", b"\r\n\r\n", b" \r\n", b"\t\r\n"]))


def _head_line_ends(draft: Draft, chance: Chance) -> None:
    draft.line_end = chance.choice([b"\n", b"\r\n", b"\r\r\n"])


def _boundary(draft: Draft, chance: Chance) -> None:
    """Declare another boundary than the body has, or none, or an odd one."""
    odd = [
        b"",
        b'""',
        b'"a=:/?( b"',
        b"a=:/?(b",
        b"b" * 300,
        b"\xff" + odd_text(chance),
        odd_text(chance),
        BOUNDARY + b" ",
    ]
    draft.put(b"Content-Type", b"multipart/form-data; boundary=" + chance.choice(odd))


def _content_type(draft: Draft, chance: Chance) -> None:
    kinds = [
        b"multipart/form-data",
        b"multipart/mixed; boundary=x",
        b"application/json",
        b"text/csv",
        b"",
        odd_text(chance),
    ]
    kinds += [b"application/x-www-form-urlencoded; charset=" + odd_text(chance), b"multipart/form-data;;;boundary"]
    draft.put(b"Content-Type", chance.choice(kinds))


def _expect(draft: Draft, chance: Chance) -> None:
    values = [b"100-continue", b"100-CONTINUE", b"", "100-fällt-aus".encode(), odd_text(chance)]
    draft.put(b"Expect", chance.choice(values))


def _encoding(draft: Draft, chance: Chance) -> None:
    """Encode the body, or only say so."""
    packs: list[Callable[[bytes], bytes]] = [gzip.compress, zlib.compress, bytes]
    draft.body = chance.choice(packs)(draft.body)
    names = [b"gzip", b"deflate", b"br", b"zstd", b"identity", b"", b"gzip, gzip", b"x-gzip", odd_text(chance)]
    draft.put(b"Content-Encoding", chance.choice(names))


def _length(draft: Draft, chance: Chance) -> None:
    """Say another length than the body has."""
    real = len(draft.body)
    lengths = [real + 1, real - 1, -1, 0, 2**31, 2**63, 2**70, real // 2]
    said = [str(length).encode() for length in lengths] + [b"+5", b"0x10", b"1e3", b"", odd_text(chance)]
    draft.put(b"Content-Length", chance.choice(said))
    draft.is_framed, draft.is_whole = True, False


def _lengths(draft: Draft, chance: Chance) -> None:
    """Say the length twice, or together with chunks."""
    other = chance.choice([(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5, 5")])
    draft.headers.append(other)
    draft.is_whole = False


def _chunks(draft: Draft, chance: Chance) -> None:
    """Send the body in chunks, some of them odd."""
    rows, rest = [], draft.body[:20_000]
    while rest:
        size = chance.randint(1, max(1, len(rest) // 2 + 1))
        chunk, rest = rest[:size], rest[size:]
        rows.append(_size(len(chunk), chance) + b"\r\n" + chunk + b"\r\n")
    rows.append(chance.choice([b"0\r\n\r\n", b"0\r\nX-Trailer: " + odd_text(chance) + b"\r\n\r\n", b"0\r\n", b""]))
    draft.drop(b"Content-Length")
    draft.put(
        b"Transfer-Encoding", chance.choice([b"chunked", b"Chunked", b"gzip, chunked", b"xchunked", b"chunked, x"])
    )
    draft.body = b"".join(rows)
    draft.is_framed, draft.is_whole = True, False


def _size(size: int, chance: Chance) -> bytes:
    right = f"{size:x}".encode()
    if chance.random() < 0.9:
        return right
    return chance.choice([right + b";" + odd_text(chance), b"0x" + right, b"-" + right, b"f" * 20, odd_text(chance)])


def _authorization(draft: Draft, chance: Chance) -> None:
    draft.drop(b"Authorization")
    schemes = [b"Bearer ", b"bearer  ", b"Basic ", b"", b"Bearer\xff "]
    if chance.random() < 0.8:
        draft.headers.append((b"Authorization", chance.choice(schemes) + odd_text(chance)))


def _place(draft: Draft, chance: Chance) -> None:
    """Name another host or origin."""
    draft.put(chance.choice([b"Host", b"Origin", b"Referer", b"X-Forwarded-Host"]), odd_text(chance))


def _header(draft: Draft, chance: Chance) -> None:
    """Add a header, of a known name or a made-up one."""
    known = [b"traceparent", b"Cookie", b"Accept", b"Connection", b"Upgrade", b"TE", b"Range", b"If-Match"]
    names = [*known, b"X y", b"X\xff", b"", b"x:y", b"X-" + b"y" * 9000]
    draft.headers += [(chance.choice(names), odd_text(chance))] * chance.choice([1, 1, 1, 2, 300])


def _query(draft: Draft, chance: Chance) -> None:
    """Add to the query: names near ours, values of all kinds."""
    stems = ["channels", "sync", "detail", "disablePrefix", "x"]
    ends = ["", "", "[]", "[0]", "s", "=", "%00", "%ff", "&", "%5B%5D"]
    pairs = [
        f"{chance.choice(stems)}{chance.choice(ends)}={quote(odd_text(chance))[:3000]}"
        for _ in range(chance.randint(1, 4))
    ]
    draft.target += (b"&" if b"?" in draft.target else b"?") + "&".join(pairs).encode()


def _raw_query(draft: Draft, chance: Chance) -> None:
    draft.target += b"?x=" + odd_text(chance).replace(b" ", b"+")


def _sync(draft: Draft, chance: Chance) -> None:
    words = [b"true", b"TRUE", b"1", b"yes", b"", b"truefalse"]
    draft.target += (b"&" if b"?" in draft.target else b"?") + b"detail=1&sync=" + chance.choice(words)


def _target(draft: Draft, chance: Chance) -> None:
    """Ask for another path, in another form."""
    value = mark(chance).encode()
    paths = [b"/", b"//audience", b"/audience/", b"/audience/%2e%2e/" + value, b"*", b"http://" + value + b"/audience"]
    paths += [b"/audience/batches/" + value, b"/audience/sessions/" + value, b"/audience/sessions?cursor=" + value]
    paths += [
        b"/audience/sessions?since=" + value,
        b"/audience/sessions?limit=" + value,
        b"/%ff" + value,
        b"/" + value * 3000,
    ]
    paths += [b"/audience/batches/" + value + b"?wait=" + value, b"/audience/accounts?x=" + value, b"http://[" + value]
    draft.target = chance.choice(paths)


def _method(draft: Draft, chance: Chance) -> None:
    draft.method = chance.choice([b"GET", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"post", b"POST\x01", _word(chance)])


def _version(draft: Draft, chance: Chance) -> None:
    draft.version = chance.choice([b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/9.9", b"", _word(chance)])


def _word(chance: Chance) -> bytes:
    return mark(chance).upper().encode()


def _twice(draft: Draft, chance: Chance) -> None:
    """Let a second request follow in the same breath."""
    if not draft.is_framed:
        draft.put(b"Content-Length", str(len(draft.body)).encode())
        draft.is_framed = True
    draft.body += chance.choice([draft.written(), b"GET /" + _word(chance) + b" HTTP/1.1\r\n\r\n", odd_text(chance)])


MUTATIONS: Sequence[Mutation] = (
    *(
        _bytes,
        _piece,
        _cut,
        _line_ends,
        _head_line_ends,
        _boundary,
        _content_type,
        _expect,
        _encoding,
        _length,
        _lengths,
    ),
    *(_chunks, _authorization, _place, _header, _query, _raw_query, _sync, _target, _method, _version, _twice),
)
