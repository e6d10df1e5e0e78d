"""What an approver reads before signing: made here, from the very bytes that will be signed, never from the cloud's words.

Rules:
 1. The payload is parsed closed (obis.trust.payload): an object with a field this version cannot show is not shown, and
    so cannot be signed.
 2. Every field that is set is shown, in the order of the contract; nothing is shortened away.
 3. Text of others is shown without control characters, so no value can draw over another.
 4. The SHA-256 of the payload is shown: two persons can compare what they sign.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from obis.cli.plain import lines
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import digest
from obis.trust.payload import PayloadType, parse_closed
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason

WIDTH: Final = 80
_KINDS: Final[dict[str, tuple[str, PayloadType[Any]]]] = {
    each.text: (name, each)
    for name, each in (
        ("TRUST ROOT", payload.TRUST_ROOT),
        ("PRODUCT RULE", payload.PRODUCT_RULE),
        ("GRANT", payload.GRANT),
        ("SCRAP CREDIT", payload.SCRAP_CREDIT),
        ("DEVICE LIST", payload.DEVICE_LIST),
        ("ENROL TICKET", payload.ENROL_TICKET),
        ("ENROLMENT APPROVAL", payload.ENROLMENT_APPROVAL),
        ("TIME TICKET", payload.TIME_TICKET),
    )
}


def kind_of_object(envelope: Envelope) -> tuple[str, PayloadType[Any]]:
    """Its name for people, and its type. Raises Refused for anything that people do not sign."""
    try:
        return _KINDS[envelope.payload_type]
    except KeyError:
        raise Refused(
            Reason.REASON_PAYLOAD_TYPE_UNEXPECTED, "people sign no object of this type", envelope.payload_type
        ) from None


def render(envelope: Envelope) -> str:
    """The object as text of 80 columns. Raises Refused for bytes that this version cannot show in full."""
    name, payload_type = kind_of_object(envelope)
    message = parse_closed(payload_type, envelope.payload)
    head = [
        f"{name}  sha256 {digest(envelope.payload).hex()[:32]}",
        f"{'':{len(name)}}         {digest(envelope.payload).hex()[32:]}",
    ]
    return "\n".join([*head, *(line for path, text in lines(message) for line in _row(path, text))])


def _row(path: str, text: str) -> Iterator[str]:
    """`path  text`, the text wrapped under itself."""
    label = f"  {path}"
    indent = 34
    if len(label) >= indent - 1:
        yield label
        label = ""
    pieces = textwrap.wrap(text, WIDTH - indent, break_long_words=True) or [""]
    yield f"{label:<{indent}}{pieces[0]}"
    for piece in pieces[1:]:
        yield f"{'':{indent}}{piece}"
