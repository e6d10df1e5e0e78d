"""Builds a Product Attestation Intermediate certificate, by which a PAA licenses one factory's key (Core 6.2.2.4)."""

from dataclasses import dataclass
from datetime import datetime

from obis.matter import profile
from obis.matter.certificate import Certificate, read_certificate
from obis.matter.errors import MatterError
from obis.matter.names import attestation_ids
from obis.matter.profile import NO_EXPIRY, Sign, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class PaiProfile:
    """What the PAA certifies: vendor id always, product id where the PAI makes one product (our rule: always)."""

    subject: Subject
    not_before: datetime
    not_after: datetime = NO_EXPIRY

    def __post_init__(self) -> None:
        """Raises MatterError CERTIFICATE_LINT_FAILED for a subject without vendor id (Core 6.2.2.4)."""
        if self.subject.vendor_id is None:
            raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "a PAI has a vendor id")


def build_pai(pai: PaiProfile, *, paa_der: bytes, point: bytes, serial: bytes, sign: Sign) -> bytes:
    """The DER certificate (at most 600 octets) for the key of `point` (65 octets), signed by the PAA's key.

    `serial` is as in `build_paa`. Raises MatterError CERTIFICATE_LINT_FAILED also if `paa_der` is no
    certificate, is scoped to another vendor or is not valid when the PAI begins.
    """
    paa, validity = read_certificate(paa_der), profile.validity(pai.not_before, pai.not_after)
    _require_within(pai, paa)
    tbs = profile.sequence(
        profile.VERSION_3,
        profile.serial_number(serial),
        profile.ECDSA_WITH_SHA256,
        paa.subject.raw,
        validity,
        pai.subject.encode(),
        profile.spki(point),
        profile.extensions(
            basic=profile.ca_constraints(path_length=0),
            key_usage=profile.KEY_USAGE_CA,
            subject_key_id=profile.key_id(point),
            authority_key_id=paa.subject_key_id(),
        ),
    )
    return profile.splice(tbs, sign(tbs))


def _require_within(pai: PaiProfile, paa: Certificate) -> None:
    """Core 6.2.2.4: the vendor of a scoped PAA; and the PAA is valid when the PAI begins."""
    vendor = attestation_ids(paa.subject).vendor_id
    if vendor is not None and vendor != pai.subject.vendor_id:
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "the PAA is scoped to another vendor")
    if not paa.valid_at(pai.not_before):
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "the PAA is not valid when the PAI begins")
