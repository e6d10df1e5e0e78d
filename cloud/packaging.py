"""The one place that seals: a BatchPackage, signed by the ONLINE key, then closed to one EdgeHSM.

Its plaintext holds no key in clear. The Authorization names its digest, so it is made first.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud.keystore import P256Signer
from obis.trust import payload
from obis.trust.envelope import digest, make_envelope
from obis.trust.package import seal
from obis.v1.envelope_pb2 import Envelope
from obis.v1.package_pb2 import BatchPackage, SealedPackage


@dataclass(frozen=True)
class SignedPackage:
    """A package that is signed and not sealed yet."""

    envelope: Envelope
    digest: bytes


def sign_package(package: BatchPackage, online: P256Signer) -> SignedPackage:
    """Sign it; `digest` is the SHA-256 of its exact bytes, 32 bytes."""
    envelope = make_envelope(payload.BATCH_PACKAGE, package.SerializeToString(deterministic=True), [online])
    return SignedPackage(envelope, digest(envelope.payload))


def seal_package(package: SignedPackage, hpke_spki_der: bytes, edgehsm_id: str, auth_id: bytes) -> SealedPackage:
    """Close it to one EdgeHSM's HPKE key."""
    return seal(hpke_spki_der, package.envelope.SerializeToString(deterministic=True), edgehsm_id, auth_id)
