"""The SPAKE2+ verifier that a device stores instead of its passcode (Core 3.10 and 5.1.6).

Rules:
 1. PBKDF2-HMAC-SHA256 of the passcode (4 octets, little-endian), salt and iterations gives 80 octets.
 2. w0 and w1 are their halves of 40 octets, big-endian, modulo the order of P-256.
 3. The verifier is w0 (32 octets) and L = w1 * G (65 octets, uncompressed): 97 octets.
Who holds verifier, salt and iterations can find the passcode by trying 10^8 of them: none of this is public.
"""

from hashlib import pbkdf2_hmac
from typing import Final

from obis.matter import p256
from obis.matter.base_point import multiple_of_base
from obis.matter.errors import MatterError
from obis.matter.passcode import is_valid_passcode

VERIFIER_BYTES: Final = 97
MIN_SALT_BYTES: Final = 16  # Core 3.9, Crypto_PBKDFParameterSet
MAX_SALT_BYTES: Final = 32
MIN_ITERATIONS: Final = 1_000
MAX_ITERATIONS: Final = 100_000

_HALF_BYTES: Final = 40  # Core 3.10, CRYPTO_W_SIZE_BYTES: group size and 8 octets


def make_verifier(passcode: int, salt: bytes, iterations: int) -> bytes:
    """The 97 octets for a valid passcode, a salt of 16 to 32 octets and 1000 to 100000 iterations.

    Raises MatterError: PAYLOAD_INVALID for the passcode, FACTORY_DATA_INVALID for salt or iterations.
    """
    if not is_valid_passcode(passcode):
        raise MatterError(MatterError.PAYLOAD_INVALID, "the passcode is not one that Matter allows")
    require_parameters(salt, iterations)
    octets = pbkdf2_hmac("sha256", passcode.to_bytes(4, "little"), salt, iterations, 2 * _HALF_BYTES)
    w0, w1 = (int.from_bytes(half) % p256.N for half in (octets[:_HALF_BYTES], octets[_HALF_BYTES:]))
    return w0.to_bytes(32) + multiple_of_base(w1)


def require_parameters(salt: bytes, iterations: int) -> None:
    """Raises MatterError FACTORY_DATA_INVALID outside the limits of Core 3.9."""
    if not MIN_SALT_BYTES <= len(salt) <= MAX_SALT_BYTES:
        raise MatterError(MatterError.FACTORY_DATA_INVALID, "the SPAKE2+ salt is not 16 to 32 octets")
    if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise MatterError(MatterError.FACTORY_DATA_INVALID, "the SPAKE2+ iterations are not 1000 to 100000")


def require_verifier(verifier: bytes) -> None:
    """Raises MatterError FACTORY_DATA_INVALID unless w0 is below the order and L a point: 97 octets."""
    w0, point = verifier[:32], verifier[32:]
    if len(verifier) != VERIFIER_BYTES or not 0 < int.from_bytes(w0) < p256.N or not p256.is_point(point):
        raise MatterError(MatterError.FACTORY_DATA_INVALID, "the SPAKE2+ verifier is not w0 and a point of P-256")
