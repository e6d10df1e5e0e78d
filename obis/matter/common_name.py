"""The common name of a DAC: text approved with the version, in which "{serial}" stands for the serial number in hex.

Its width is fixed by the width of the serial number, so that a certificate can be patched instead of encoded.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from obis.matter import ids
from obis.matter.errors import MatterError

SERIAL_FIELD: Final = "{serial}"

# PrintableString (X.680 41.4) without the colon, which would let "Mvid:" be written (Core 6.2.2.2).
_LITERAL: Final = re.compile(r"[0-9A-Za-z .,()+/=?'-]*")


@dataclass(frozen=True, slots=True)
class CommonNamePattern:
    """A pattern and the width of the serial number in octets; `width` is that of the filled name, 1 to 64 characters.

    Raises MatterError CERTIFICATE_LINT_FAILED for another width, another character or a second "{serial}".
    """

    pattern: str
    serial_bytes: int
    width: int = field(init=False)
    _before: bytes = field(init=False, repr=False)
    _after: bytes | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Split at the field; the constants are kept encoded because `fill` runs once a device."""
        before, found, after = self.pattern.partition(SERIAL_FIELD)
        width = len(before) + len(after) + (2 * self.serial_bytes if found else 0)
        if not (_LITERAL.fullmatch(before) and _LITERAL.fullmatch(after)):
            raise MatterError(
                MatterError.CERTIFICATE_LINT_FAILED, "C09: the common name pattern holds a forbidden character"
            )
        if not 1 <= width <= ids.MAX_COMMON_NAME_CHARS:
            raise MatterError(
                MatterError.CERTIFICATE_LINT_FAILED, "C09: the common name is empty or above 64 characters"
            )
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "_before", before.encode())
        object.__setattr__(self, "_after", after.encode() if found else None)

    def fill(self, serial: bytes) -> bytes:
        """The name's octets; the serial number, of `serial_bytes` octets, in upper-case hexadecimal."""
        if self._after is None:
            return self._before
        return b"%b%b%b" % (self._before, serial.hex().upper().encode(), self._after)
