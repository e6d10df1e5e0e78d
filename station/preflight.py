"""What is proved before the first chip of an order is touched, because no step after it can be taken back.

1. The image is the granted one, to the octet.
2. Where the version asks for secure boot, the rule holds a key and the image is signed by it: a unit whose fuses hold
   another key never boots again.
3. The chip family can do what the version asks: flash encryption, secrets only sealed.
4. There is a debug root, so that what is locked can be re-opened under an authorization.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason
from station.order import Order
from station.silicon.family import Capabilities


def require_image(order: Order, image: bytes) -> None:
    """Rules 1 and 2. Raises Refused FIRMWARE_NOT_GRANTED or PREFLIGHT_FAILED."""
    if sha256(image).digest() != order.firmware.digest or len(image) != order.firmware.size:
        raise Refused(Reason.REASON_FIRMWARE_NOT_GRANTED, "the image is not the granted one", "firmware")
    if not order.chip_security.secure_boot:
        return
    if not order.secure_boot_spki_der or not order.firmware.signature:
        raise _not_ready("the version asks for secure boot, but the rule has no key or the image no signature")
    key = load_der_public_key(order.secure_boot_spki_der)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _not_ready("the secure boot key is not on P-256")
    try:
        key.verify(order.firmware.signature, image, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise _not_ready(
            "the image is not signed by the product's secure boot key: such a unit would not boot"
        ) from None


def require_able(order: Order, chip: Capabilities) -> None:
    """Rules 3 and 4. Raises Refused PREFLIGHT_FAILED."""
    if order.chip_security.flash_encryption and not chip.flash_encryption:
        raise _not_ready("the version asks for flash encryption, which this chip family cannot do")
    if not chip.red_line_capable:
        raise _not_ready("this chip family takes secrets in clear alone")
    if not order.debug_spki_der:
        raise _not_ready("without a debug root the chip could never be re-opened")


def _not_ready(what: str) -> Refused:
    return Refused(Reason.REASON_PREFLIGHT_FAILED, what, "preflight", "have the version cut again")
