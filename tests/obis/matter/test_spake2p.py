"""SPAKE2+ verifiers as two other makers compute them, and the arithmetic below against OpenSSL's."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.matter import p256
from obis.matter.base_point import multiple_of_base
from obis.matter.errors import MatterError
from obis.matter.spake2p import make_verifier, require_verifier
from tests.obis.matter.vectors import rows

KNOWN = (
    "b96170aae803346884724fe9a3b287c30330c2a660375d17bb205a8cf1aecb35"
    "0457f8ab79ee253ab6a8e46bb09e543ae422736de501e3db37d441fe344920d095"
    "48e4c18240630c4ff4913c53513839b7c07fcc0627a1b8573a149fcd1fa466cf"
)


def test_the_known_answer():
    assert make_verifier(20202021, b"SPAKE2P Key Salt", 1000).hex() == KNOWN


@pytest.mark.parametrize("row", rows("spake2p.json"), ids=lambda row: str(row["passcode"]))
def test_verifiers_are_those_of_two_other_makers(row):
    verifier = make_verifier(row["passcode"], bytes.fromhex(row["salt"]), row["iterations"])

    assert verifier.hex() == row["verifier"]
    require_verifier(verifier)


@pytest.mark.parametrize("passcode", [0, 11111111, 12345678, 99999999, 100000000, -1])
def test_a_forbidden_passcode_has_no_verifier(passcode):
    with pytest.raises(MatterError, match="PAYLOAD_INVALID"):
        make_verifier(passcode, bytes(16), 1000)


@pytest.mark.parametrize(("salt", "iterations"), [(15, 1000), (33, 1000), (16, 999), (16, 100001)])
def test_parameters_outside_the_limits_are_refused(salt, iterations):
    with pytest.raises(MatterError, match="FACTORY_DATA_INVALID"):
        make_verifier(20202021, bytes(salt), iterations)


def openssls(scalar):
    public = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("scalar", [0, -1, p256.N])
def test_a_scalar_outside_the_group_has_no_point(scalar):
    with pytest.raises((ValueError, OverflowError)):
        multiple_of_base(scalar)


POINT = openssls(7)
NO_POINTS = [
    b"",
    b"\x00",
    POINT[1:],
    b"\x05" + POINT[1:],
    POINT + b"\0",
    POINT[:-1] + bytes([POINT[-1] ^ 1]),
    b"\x04" + bytes(64),
]


@pytest.mark.parametrize("octets", [*NO_POINTS, b"\x04" + b"\xff" * 64], ids=bytes.hex)
def test_what_is_no_point_is_noticed(octets):
    assert not p256.is_point(octets)


def test_coordinates_above_the_prime_are_no_point():
    x, y = 5, pow(5**3 - 15 + p256.B, (p256.P + 1) // 4, p256.P)
    right, wrapped = (b"\x04" + number.to_bytes(32) + y.to_bytes(32) for number in (x, x + p256.P))

    assert (p256.is_point(right), p256.is_point(wrapped)) == (True, False)
