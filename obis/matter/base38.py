"""Base-38, the alphabet of Matter's QR codes (Core 5.1.3.1).

Three octets, lowest first, become five characters, lowest first; two that remain become four, one becomes two. Decoding
accepts only what encoding writes, so a payload has one text.
"""

from typing import Final

from obis.matter.errors import MatterError

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-."
_CHARACTERS: Final = {1: 2, 2: 4, 3: 5}  # for so many octets
_OCTETS: Final = {characters: octets for octets, characters in _CHARACTERS.items()}


def encode(octets: bytes) -> str:
    """The text of any octets."""
    return "".join(_encode_chunk(octets[at : at + 3]) for at in range(0, len(octets), 3))


def _encode_chunk(chunk: bytes) -> str:
    number, text = int.from_bytes(chunk, "little"), ""
    for _ in range(_CHARACTERS[len(chunk)]):
        number, digit = divmod(number, 38)
        text += ALPHABET[digit]
    return text


def decode(text: str) -> bytes:
    """The octets of a text; raises MatterError PAYLOAD_INVALID."""
    return b"".join(_decode_chunk(text[at : at + 5]) for at in range(0, len(text), 5))


def _decode_chunk(chunk: str) -> bytes:
    octets, number = _OCTETS.get(len(chunk), 0), 0
    for character in reversed(chunk):
        number = number * 38 + ALPHABET.find(character)
    if octets == 0 or not set(chunk) <= set(ALPHABET) or number >= 1 << (8 * octets):
        raise MatterError(MatterError.PAYLOAD_INVALID, "the text is not base-38")
    return number.to_bytes(octets, "little")
