"""Is this a point of NIST P-256? In plain integers, for public points alone: the lint shares no code with the builder."""

from typing import Final

# FIPS 186-4 D.1.2.3, SEC 2 2.4.2.
P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
POINT_BYTES: Final = 65  # SEC 1 2.3.3: 04, X, Y


def is_point(point: bytes) -> bool:
    """Whether the octets are 04, X, Y with both below p and Y^2 = X^3 - 3X + b (SEC 1 2.3.4 and 3.2.2.1)."""
    if len(point) != POINT_BYTES or point[0] != 0x04:
        return False
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return x < P and y < P and (y * y - (x * x - 3) * x - B) % P == 0
