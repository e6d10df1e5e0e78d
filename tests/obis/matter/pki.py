"""A small Matter PKI for tests: keys that are made here, and certificates made by the builders under test."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.matter import profile
from obis.matter.dac import DacTemplate
from obis.matter.ids import ProductId, VendorId
from obis.matter.paa import PaaProfile, build_paa
from obis.matter.pai import PaiProfile, build_pai
from obis.matter.profile import Subject

VENDOR, PRODUCT = VendorId(0xFFF1), ProductId(0x8000)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PREFIX = b"\x21\x00\x7f"
SERIAL = PREFIX + bytes.fromhex("00ff102030405060")


@dataclass(frozen=True)
class Key:
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def point(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, tbs: bytes) -> bytes:
        return self.private.sign(tbs, ec.ECDSA(SHA256()))


@dataclass(frozen=True)
class Pki:
    paa_key: Key = field(default_factory=Key)
    pai_key: Key = field(default_factory=Key)
    dac_key: Key = field(default_factory=Key)

    def paa(self, subject: Subject | None = None) -> bytes:
        said = PaaProfile(subject=subject or Subject("OBIS Test PAA", VENDOR), not_before=BEGIN)
        return build_paa(said, point=self.paa_key.point, serial=b"\x01" * 9, sign=self.paa_key.sign)

    def pai(self, subject: Subject | None = None) -> bytes:
        said = PaiProfile(subject=subject or Subject("OBIS Test PAI", VENDOR, PRODUCT), not_before=BEGIN)
        point = self.pai_key.point
        return build_pai(said, paa_der=self.paa(), point=point, serial=b"\x02" * 20, sign=self.paa_key.sign)

    def template(self, **changed) -> DacTemplate:
        asked = {
            "vendor_id": VENDOR,
            "product_id": PRODUCT,
            "common_name_pattern": "OBIS Test DAC {serial}",
            "not_before": BEGIN,
            "serial_prefix": PREFIX,
            "pai_der": self.pai(),
        }
        return DacTemplate(**asked | changed)

    def dac(self) -> bytes:
        tbs = self.template().tbs(self.dac_key.point, SERIAL)
        return profile.splice(tbs, self.pai_key.sign(tbs))


@cache
def pki() -> Pki:
    """One set of keys for the whole run."""
    return Pki()
