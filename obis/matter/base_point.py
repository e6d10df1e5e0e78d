"""A multiple of the P-256 base point, by OpenSSL: for the SPAKE2+ verifier and for sample keys nobody uses.

No scalar here belongs to a device or signs anything: one follows from a passcode, the other from public bytes.
"""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def multiple_of_base(scalar: int) -> bytes:
    """The 65 octets of scalar * G for 0 < scalar < n; raises ValueError outside."""
    point = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    return point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
