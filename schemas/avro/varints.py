"""Avro's whole numbers: zigzag, then seven bits a byte, lowest first."""

MOST_BYTES = 10
"""Of a number of 64 bits."""


class UnusualError(Exception):
    """Bytes that generated code leaves to fastavro: they are wrong, or right but never written like that."""


def encode_long(number: int) -> bytes:
    """Encode a number of 64 bits."""
    rest = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and the place behind it. Raises IndexError at the end of the data, UnusualError."""
    number = shift = 0
    while (byte := data[at]) & 0x80:
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift >= 7 * MOST_BYTES:
            raise UnusualError
    number |= byte << shift
    if number >= 2**64:
        raise UnusualError
    return (number >> 1) ^ -(number & 1), at + 1
