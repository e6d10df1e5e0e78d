"""Matter TLV (Core appendix A), as much as attestation and factory data need: structures, arrays, integers, text, octets.

A structure is a dict from context tag (0 to 255) to value, an array a list. Reading is strict: known types only, tags as
asked, lengths inside the input, UTF-8 text, nothing trailing, a tag once and in ascending order, depth limited. Writing
is canonical: tags ascending, integers and lengths in their shortest width; so equal values have equal octets.
"""

from typing import Final, TypeAlias

Value: TypeAlias = "int | bool | str | bytes | list[Value] | dict[int, Value]"

MAX_DEPTH: Final = 4

_ANONYMOUS: Final = 0x00  # tag control, Core A.7.1
_CONTEXT: Final = 0x20
_UNSIGNED: Final = 0x04  # element type, Core A.7.1: two low bits give the width of integer or length
_FALSE: Final = 0x08
_TRUE: Final = 0x09
_UTF8: Final = 0x0C
_OCTETS: Final = 0x10
_STRUCTURE: Final = 0x15
_ARRAY: Final = 0x16
_END: Final = 0x18


class TlvError(ValueError):
    """The octets are not TLV of the kinds read here, or a value cannot be written."""


def decode(octets: bytes) -> dict[int, Value]:
    """The one anonymous structure that is the whole input; raises TlvError."""
    control, tag, at = _head(octets, 0)
    if control != _STRUCTURE or tag is not None:
        raise TlvError("the input is not an anonymous structure")
    structure, at = _structure(octets, at, 1)
    if at != len(octets):
        raise TlvError("octets trail the structure")
    return structure


def _head(octets: bytes, at: int) -> tuple[int, int | None, int]:
    """Element type, context tag if any, and the offset after them."""
    if at >= len(octets):
        raise TlvError("an element is missing")
    control, tag = octets[at] & 0x1F, octets[at] & 0xE0
    if tag == _ANONYMOUS:
        return control, None, at + 1
    if tag != _CONTEXT or at + 1 >= len(octets):
        raise TlvError("a tag is neither anonymous nor context-specific")
    return control, octets[at + 1], at + 2


def _structure(octets: bytes, at: int, depth: int) -> tuple[dict[int, Value], int]:
    found: dict[int, Value] = {}
    while True:
        control, tag, at = _head(octets, at)
        if control == _END and tag is None:
            return found, at
        if tag is None or tag <= max(found, default=-1):
            raise TlvError("a structure's tags are not ascending")
        found[tag], at = _value(octets, control, at, depth)


def _array(octets: bytes, at: int, depth: int) -> tuple[list[Value], int]:
    found: list[Value] = []
    while True:
        control, tag, at = _head(octets, at)
        if tag is not None:
            raise TlvError("an array's element has a tag")
        if control == _END:
            return found, at
        value, at = _value(octets, control, at, depth)
        found.append(value)


def _value(octets: bytes, control: int, at: int, depth: int) -> tuple[Value, int]:
    """The value of one element whose head ended at `at`, and the offset after it."""
    if control in (_STRUCTURE, _ARRAY):
        if depth == MAX_DEPTH:
            raise TlvError("containers are nested too deep")
        return (_structure if control == _STRUCTURE else _array)(octets, at, depth + 1)
    if control in (_FALSE, _TRUE):
        return control == _TRUE, at
    if control & 0x1C not in (_UNSIGNED, _UTF8, _OCTETS):
        raise TlvError("an element is of a type not read here")
    number, at = _number(octets, at, 1 << (control & 3))
    if control & 0x1C == _UNSIGNED:
        return number, at
    end = at + number
    if end > len(octets):
        raise TlvError("text or octets are cut short")
    return _text_or_octets(control, octets[at:end]), end


def _number(octets: bytes, at: int, width: int) -> tuple[int, int]:
    if at + width > len(octets):
        raise TlvError("a number is cut short")
    return int.from_bytes(octets[at : at + width], "little"), at + width


def _text_or_octets(control: int, content: bytes) -> str | bytes:
    if control & 0x1C == _OCTETS:
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise TlvError("text is not UTF-8") from None


def encode(structure: dict[int, Value]) -> bytes:
    """The canonical octets of a structure; raises TlvError for values outside the types read here."""
    return _encode(b"", _ANONYMOUS, structure)


def _encode(tag: bytes, tag_control: int, value: Value) -> bytes:
    if isinstance(value, bool):
        return _control(tag_control | (_TRUE if value else _FALSE), tag)
    if isinstance(value, int):
        return _sized(tag, tag_control | _UNSIGNED, value)
    if isinstance(value, str):
        octets = _utf8(value)
        return _sized(tag, tag_control | _UTF8, len(octets)) + octets
    if isinstance(value, bytes):
        return _sized(tag, tag_control | _OCTETS, len(value)) + value
    if isinstance(value, list):
        inner = b"".join(_encode(b"", _ANONYMOUS, each) for each in value)
        return _control(tag_control | _ARRAY, tag) + inner + bytes((_END,))
    inner = b"".join(_encode(bytes((each,)), _CONTEXT, value[each]) for each in sorted(value))
    return _control(tag_control | _STRUCTURE, tag) + inner + bytes((_END,))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise TlvError("text holds a lone surrogate") from None


def _control(control: int, tag: bytes) -> bytes:
    return bytes((control,)) + tag


def _sized(tag: bytes, control: int, number: int) -> bytes:
    """Head and number, in the shortest of 1, 2, 4 or 8 octets."""
    for power in range(4):
        if 0 <= number < 1 << (8 << power):
            return _control(control | power, tag) + number.to_bytes(1 << power, "little")
    raise TlvError("a number is negative or above 64 bits")
