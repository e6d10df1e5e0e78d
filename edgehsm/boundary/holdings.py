"""What the boundary was given and made: trust, enrolment, Grants, product keys, stations, revocations. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgehsm.boundary.element import KeyHandle
from edgehsm.boundary.gate import Station
from obis.trust.trust_root import TrustRootView
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.envelope_pb2 import Envelope
from obis.v1.grant_pb2 import Grant
from obis.v1.package_pb2 import VersionManifest
from obis.v1.revocation_pb2 import RevocationList
from obis.v1.rule_pb2 import ProductRule


@dataclass(frozen=True, slots=True)
class Place:
    """Who this boundary is."""

    factory_id: str
    edgehsm_id: str
    fingerprint: bytes  # SHA-256 of the mesh's first TrustRoot payload, pinned by the configuration
    epoch: int = 0  # 0 until enrolled


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The result of an enrolment, checked against the pinned fingerprint. Certificates are DER."""

    approval: EnrolmentApproval
    identity_cert: bytes
    site_ca_cert: bytes
    site_root_cert: bytes
    transport_ca_cert: bytes


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """An admitted Grant and what came with it."""

    grant: Grant
    digest: bytes
    rule: ProductRule
    rule_digest: bytes
    cap: int  # devices this EdgeHSM may make in this epoch
    manifest: VersionManifest
    paa_der: bytes
    admitted_at: int  # Unix seconds


@dataclass(slots=True)
class HeldProduct:
    """A product's keys, made inside, and its certified PAIs by the SHA-256 of their DER."""

    pai_handle: KeyHandle
    debug_handle: KeyHandle
    pai_spki: bytes
    debug_spki: bytes
    grant_digest: bytes  # the Grant that ordered them
    pai_request: Envelope
    pais: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Holdings:
    """All of it. `views` are the trust roots walked, by version; what was admitted under one is read under that one."""

    place: Place
    views: dict[int, TrustRootView] = field(default_factory=dict)
    enrolled: Enrolled | None = None
    grants: dict[bytes, HeldGrant] = field(default_factory=dict)
    products: dict[bytes, HeldProduct] = field(default_factory=dict)
    stations: dict[bytes, Station] = field(default_factory=dict)  # by SHA-256 of the key's SubjectPublicKeyInfo
    tickets: dict[bytes, bytes] = field(default_factory=dict)  # StationTickets used: id to the DER certificate given
    revocations: RevocationList = field(default_factory=RevocationList)
    revocation_digest: bytes = b""
    beacon_sequence: int = 0
    beacon_digest: bytes = b""
    cosigned_size: int = 0
    cosigned_at: int = 0

    @property
    def view(self) -> TrustRootView:
        """The newest trust root, without the keys a RevocationList names."""
        return self.views[max(self.views)].without(self.revocations.key_ids)

    def grants_of(self, product_id: bytes) -> list[HeldGrant]:
        """A product's Grants here, oldest first."""
        return sorted(
            (each for each in self.grants.values() if each.grant.product_id == product_id),
            key=lambda each: each.grant.sequence,
        )

    def revoke(self, revocations: RevocationList, digest: bytes) -> None:
        """From here on this list counts; it is always the full list."""
        self.revocations, self.revocation_digest = revocations, digest
        stopped = frozenset(revocations.station_spki_digests)
        self.stations = {key: replace(each, revoked=key in stopped) for key, each in self.stations.items()}
