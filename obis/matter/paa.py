"""Builds a Product Attestation Authority certificate: self-signed root of one OEM (Core 6.2.2.5)."""

from dataclasses import dataclass
from datetime import datetime

from obis.matter import profile
from obis.matter.errors import MatterError
from obis.matter.profile import NO_EXPIRY, Sign, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class PaaProfile:
    """What the root says of itself: no product id, path length 1, and by default no expiry."""

    subject: Subject
    not_before: datetime
    not_after: datetime = NO_EXPIRY

    def __post_init__(self) -> None:
        """Raises MatterError CERTIFICATE_LINT_FAILED for a subject with a product id (Core 6.2.2.5)."""
        if self.subject.product_id is not None:
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "a PAA has no product id")


def build_paa(paa: PaaProfile, *, point: bytes, serial: bytes, sign: Sign) -> bytes:
    """The DER certificate (at most 600 octets), signed by the key of `point` (65 octets).

    `serial` is 8 to 20 octets, first 01 to 7F, at least 8 of them random. Raises MatterError CERTIFICATE_LINT_FAILED.
    """
    name, key_id = paa.subject.encode(), profile.key_id(point)
    tbs = profile.sequence(
        profile.VERSION_3,
        profile.serial_number(serial),
        profile.ECDSA_WITH_SHA256,
        name,
        profile.validity(paa.not_before, paa.not_after),
        name,
        profile.spki(point),
        profile.extensions(
            basic=profile.ca_constraints(path_length=1),
            key_usage=profile.KEY_USAGE_CA,
            subject_key_id=key_id,
            authority_key_id=key_id,
        ),
    )
    return profile.splice(tbs, sign(tbs))
