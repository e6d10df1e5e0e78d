"""A strict reader of DER (X.690 10 and 11), for the lint and the Certification Declaration.

It promises: definite and shortest lengths, nothing trailing, no tag above 30, no octet read outside its parent, and no
exception but DerError. It is written without `cryptography`, so that the lint does not share a parser's mistakes.
"""

from typing import Final, NamedTuple

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

_LONG_FORM: Final = 0x80
_MAX_LENGTH_OCTETS: Final = 3


class DerError(ValueError):
    """The octets are not DER, or not the element that was asked for."""


class Element(NamedTuple):
    """One tag-length-value inside `data`: header from `start`, content from `body`, both up to `end`."""

    data: bytes
    tag: int
    start: int
    body: int
    end: int

    @property
    def raw(self) -> bytes:
        """Header and content."""
        return self.data[self.start : self.end]

    @property
    def content(self) -> bytes:
        """Content without header."""
        return self.data[self.body : self.end]


def read(data: bytes, at: int, end: int) -> Element:
    """Read the element that starts at `at` and must finish at or before `end`; raises DerError."""
    if at + 2 > end:
        raise DerError("element is cut short")
    tag = data[at]
    if tag & 0x1F == 0x1F:
        raise DerError("tag above 30")
    length, body = _length(data, at + 1, end)
    if body + length > end:
        raise DerError("element is longer than what holds it")
    return Element(data, tag, at, body, body + length)


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Length and the offset after it (X.690 8.1.3, 10.1)."""
    first = data[at]
    if first < _LONG_FORM:
        return first, at + 1
    octets = first & 0x7F
    if not 1 <= octets <= _MAX_LENGTH_OCTETS or at + 1 + octets > end:
        raise DerError("length is indefinite, too long or cut short")
    length = int.from_bytes(data[at + 1 : at + 1 + octets])
    if length < _LONG_FORM or length >> (8 * (octets - 1)) == 0:
        raise DerError("length is not the shortest")
    return length, at + 1 + octets


def single(data: bytes, tag: int) -> Element:
    """The one element that is the whole of `data`; raises DerError if anything trails or the tag differs."""
    element = read(data, 0, len(data))
    if element.end != len(data):
        raise DerError("octets trail the element")
    return expect(element, tag)


def expect(element: Element, tag: int) -> Element:
    """The element itself if its tag is `tag`; raises DerError."""
    if element.tag != tag:
        raise DerError(f"tag is {element.tag:#04x}, not {tag:#04x}")
    return element


def children(element: Element) -> list[Element]:
    """The elements that fill a constructed one exactly; raises DerError."""
    found, at = [], element.body
    while at < element.end:
        child = read(element.data, at, element.end)
        found.append(child)
        at = child.end
    return found


def sequence(element: Element, *tags: int) -> list[Element]:
    """The children of a SEQUENCE whose tags are exactly `tags`; raises DerError."""
    found = children(expect(element, SEQUENCE))
    if tuple(child.tag for child in found) != tags:
        raise DerError("SEQUENCE does not hold what it should")
    return found


def integer(element: Element) -> int:
    """A signed INTEGER in its shortest form (X.690 8.3.2); raises DerError."""
    octets = expect(element, INTEGER).content
    if not octets:
        raise DerError("INTEGER is empty")
    if len(octets) > 1 and octets[0] in (0x00, 0xFF) and (octets[0] ^ octets[1]) < _LONG_FORM:
        raise DerError("INTEGER is not the shortest")
    return int.from_bytes(octets, signed=True)


def boolean(element: Element) -> bool:
    """A BOOLEAN, which in DER is 00 or FF (X.690 11.1); raises DerError."""
    octets = expect(element, BOOLEAN).content
    if octets not in (b"\x00", b"\xff"):
        raise DerError("BOOLEAN is neither 00 nor FF")
    return octets == b"\xff"


def octet_aligned(element: Element) -> bytes:
    """The octets of a BIT STRING without unused bits; raises DerError."""
    octets = expect(element, BIT_STRING).content
    if not octets or octets[0] != 0:
        raise DerError("BIT STRING has unused bits or no content")
    return octets[1:]


def named_bits(element: Element) -> int:
    """A named bit list of at most 16 bits, bit 0 in the lowest bit, without trailing zeros (X.690 11.2.2)."""
    octets = expect(element, BIT_STRING).content
    if not 1 <= len(octets) <= 3 or octets[0] > 7:
        raise DerError("BIT STRING is not a short named bit list")
    bits = int.from_bytes(octets[1:])
    if len(octets) == 1 and octets[0] == 0:
        return 0
    if bits & ((1 << octets[0]) - 1) or not bits >> octets[0] & 1:
        raise DerError("named bit list has padding bits or trailing zeros")
    width = 8 * (len(octets) - 1)
    return sum(1 << bit for bit in range(width) if bits >> (width - 1 - bit) & 1)


def oid(element: Element) -> str:
    """An OBJECT IDENTIFIER in dots (X.690 8.19); raises DerError."""
    octets = expect(element, OID).content
    if not octets or octets[-1] >= _LONG_FORM:
        raise DerError("OBJECT IDENTIFIER is empty or cut short")
    arcs, arc, fresh = [], 0, True
    for octet in octets:
        if fresh and octet == _LONG_FORM:
            raise DerError("OBJECT IDENTIFIER is not the shortest")
        arc, fresh = arc << 7 | octet & 0x7F, octet < _LONG_FORM
        if fresh:
            arcs.append(arc)
            arc = 0
    top = min(arcs[0] // 40, 2)
    return ".".join(str(number) for number in (top, arcs[0] - 40 * top, *arcs[1:]))
