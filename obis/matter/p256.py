"""Arithmetic of NIST P-256 in plain integers: is this a point, and a multiple of the base point.

Used where no private key is involved: reading certificates, and the SPAKE2+ verifier. It is not constant in time, so it
must not be used with a key that signs: private keys live in elements and vaults, behind their own libraries.
"""

from functools import cache
from typing import Final, TypeAlias

# FIPS 186-4 D.1.2.3, SEC 2 2.4.2.
P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
POINT_BYTES: Final = 65  # SEC 1 2.3.3: 04, X, Y

_Affine: TypeAlias = tuple[int, int]
_Jacobian: TypeAlias = tuple[int, int, int]
_INFINITY: Final = (1, 1, 0)


def is_point(point: bytes) -> bool:
    """Whether the octets are 04, X, Y with both below p and Y^2 = X^3 - 3X + b (SEC 1 2.3.4 and 3.2.2.1)."""
    if len(point) != POINT_BYTES or point[0] != 0x04:
        return False
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return x < P and y < P and (y * y - (x * x - 3) * x - B) % P == 0


def multiple_of_base(scalar: int) -> bytes:
    """The 65 octets of scalar * G for 0 < scalar < n; raises ValueError outside."""
    if not 0 < scalar < N:
        raise ValueError("the scalar is not in 1..n-1")
    total = _INFINITY
    for bit, power in enumerate(_powers()):
        if scalar >> bit & 1:
            total = _add(total, power)
    x, y = _affine(total)
    return b"\x04" + x.to_bytes(32) + y.to_bytes(32)


@cache
def _powers() -> tuple[_Affine, ...]:
    """G, 2G, 4G ... 2^255 G."""
    powers = [G]
    while len(powers) < 256:
        powers.append(_affine(_double(powers[-1])))
    return tuple(powers)


def _affine(point: _Jacobian) -> _Affine:
    x, y, z = point
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


def _double(point: _Affine) -> _Jacobian:
    """2P for affine P (mdbl-2007-bl of the Explicit-Formulas Database, a = -3)."""
    x, y = point
    yy = y * y % P
    s = 4 * x * yy % P
    m = 3 * (x * x - 1) % P
    result_x = (m * m - 2 * s) % P
    return result_x, (m * (s - result_x) - 8 * yy * yy) % P, 2 * y % P


def _add(left: _Jacobian, right: _Affine) -> _Jacobian:
    """Add a power of two to what is below it (madd-2004-hmv, which needs left != right); 0 + right is right."""
    x, y, z = left
    if z == 0:
        return right[0], right[1], 1
    zz = z * z % P
    h = (right[0] * zz - x) % P
    r = (right[1] * zz * z - y) % P
    hh = h * h % P
    hhh, v = h * hh % P, x * hh % P
    result_x = (r * r - hhh - 2 * v) % P
    return result_x, (r * (v - result_x) - y * hhh) % P, z * h % P
