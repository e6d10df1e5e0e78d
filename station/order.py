"""A verified work order: all a session needs to know about what it makes. Only `station.workorder` makes one."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from obis.matter.onboarding import Discovery, Flow
from obis.v1.package_pb2 import ChipSecurity, FactoryDataTemplate
from obis.v1.scope_pb2 import EvidenceLevel


@dataclass(frozen=True)
class Firmware:
    """The granted image: its SHA-256 (32 bytes), octets, and detached signature (DER ECDSA P-256, or empty)."""

    digest: bytes
    size: int
    signature: bytes


@dataclass(frozen=True)
class Order:
    """What may be made under one Authorization. `agent_digest` has 32 bytes, or none where no agent is loaded."""

    auth_id: bytes
    product_id: bytes
    product_name: str
    factory_id: str
    edgehsm_id: str
    soc: str
    quantity: int
    vendor_id: int
    product_code: int
    firmware: Firmware
    agent_digest: bytes
    template: FactoryDataTemplate
    certification_declaration: bytes
    chip_security: ChipSecurity
    pai_der: bytes
    paa_der: bytes
    secure_boot_spki_der: bytes
    debug_spki_der: bytes
    minimum_evidence: EvidenceLevel.ValueType

    @property
    def artifacts(self) -> tuple[bytes, ...]:
        """Digests of what must be here before the first unit."""
        return tuple(digest for digest in (self.firmware.digest, self.agent_digest) if digest)

    @property
    def discovery(self) -> Discovery:
        """How a commissioner finds the product."""
        return Discovery(self.template.discovery_capabilities)

    @property
    def flow(self) -> Flow:
        """What a person does before commissioning."""
        return Flow(self.template.commissioning_flow)


def is_artifact(digest: bytes, octets: bytes) -> bool:
    """Whether the octets are the ones of that name."""
    return sha256(octets).digest() == digest
