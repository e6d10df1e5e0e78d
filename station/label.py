"""What is printed for a unit, and the proof that label and unit belong together.

Rules: 1. QR text and manual code say the same passcode and discriminator. 2. Both are read back from the text that is
rendered, not from what it was rendered from. 3. The passcode on the label opens the verifier in the unit: it is
computed again from the label's passcode and the unit's salt. A label's `repr` shows nothing.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from obis.matter.errors import MatterError
from obis.matter.factory_data import FactoryData
from obis.matter.onboarding import OnboardingPayload, parse_manual_code, parse_qr_code
from obis.matter.spake2p import make_verifier
from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason


@dataclass(frozen=True)
class Label:
    """The text of one label; it holds the passcode."""

    product_name: str
    serial_number: str
    qr_code: str = field(repr=False)
    manual_code: str = field(repr=False)

    def render(self) -> str:
        """What a label printer or the operator's screen is given: four lines, manual code as 0000-000-0000."""
        digits = self.manual_code
        groups = [digits[:4], digits[4:7], *(digits[at : at + 7] for at in range(7, len(digits), 7))]
        if len(digits) == 11:
            groups = [digits[:4], digits[4:7], digits[7:]]
        return f"{self.product_name}\n{self.serial_number}\n{self.qr_code}\n{'-'.join(groups)}\n"


def make_label(payload: OnboardingPayload, product_name: str, serial_number: str) -> Label:
    """The label for a payload."""
    return Label(product_name, serial_number, payload.qr_code, payload.manual_code)


def require_label_of_unit(rendered: str, unit: FactoryData) -> None:
    """Rules 1 to 3 for the rendered text and what was read from the unit; raises Refused LABEL_MISMATCH."""
    try:
        _, serial_number, qr_code, manual_code = rendered.splitlines()
        qr, manual = parse_qr_code(qr_code), parse_manual_code(manual_code.replace("-", ""))
        opened = make_verifier(qr.passcode, unit.spake2p_salt, unit.spake2p_iterations)
    except (ValueError, MatterError):
        raise _mismatch("the label cannot be read back") from None
    if (manual.passcode, manual.short_discriminator) != (qr.passcode, qr.discriminator >> 8):
        raise _mismatch("QR code and manual code differ")
    if (qr.vendor_id, qr.product_id, qr.discriminator) != (unit.vendor_id, unit.product_id, unit.discriminator):
        raise _mismatch("the label names another product or discriminator than the unit")
    if serial_number != unit.serial_number or not hmac.compare_digest(opened, unit.spake2p_verifier):
        raise _mismatch("the label's serial number or passcode is not the unit's")


def _mismatch(what: str) -> Refused:
    return Refused(Reason.REASON_LABEL_MISMATCH, what, "label", "discard the label and take the unit off")
