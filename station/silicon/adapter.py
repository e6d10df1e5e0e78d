"""What a session asks of any chip. One implementation a chip family or vendor; formats and transport, no key, no policy.

Rules an implementation keeps, and tests/station/silicon/contract.py checks:
 1. No method takes or returns a private or symmetric key in clear, or a passcode.
 2. `generate_dac` makes a key once; again without a reset it is refused.
 3. `install_factory_data` may be repeated until `lock_debug`; what is read back is what was written.
 4. One-way steps (`set_root_keys`, `enable_secure_boot`, `lock_debug`) come last and are never undone.
 5. Every failure is Refused: CHIP_UNRESPONSIVE (no answer, or not in its protocol), CHIP_REFUSED (it said no),
    READBACK_MISMATCH.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from obis.matter.factory_data import FactoryData
from obis.v1.device_objects_pb2 import DebugState, Lifecycle
from obis.v1.envelope_pb2 import Envelope
from station.silicon.family import Capabilities


@dataclass(frozen=True)
class Identity:
    """Who and what a chip says it is. `uid` has 4 to 32 bytes, `fuses_digest` 32."""

    soc: str
    uid: bytes
    revision: int
    lifecycle: Lifecycle.ValueType
    debug: DebugState.ValueType
    fuses_digest: bytes


@dataclass(frozen=True)
class AgentHello:
    """What a loaded key agent says: SHA-256 of itself, and a vendor's attestation where the silicon has one."""

    agent_digest: bytes
    vendor_attestation: bytes = b""


@dataclass(frozen=True)
class RequestedKey:
    """A key made in the chip: its DER PKCS#10, and DER SubjectPublicKeyInfo of a key-agreement key, or empty."""

    csr_der: bytes
    key_agreement_spki_der: bytes = b""


@dataclass(frozen=True)
class RootKeys:
    """What is burnt: DER SubjectPublicKeyInfo of the secure boot key (or empty) and of the debug authority."""

    secure_boot_spki_der: bytes
    debug_spki_der: bytes
    minimum_version: int


class SocAdapter(Protocol):
    """One chip on one socket."""

    @property
    def capabilities(self) -> Capabilities:
        """The family's flags."""

    async def identify(self) -> Identity:
        """Who is there."""

    async def load_agent(self, image: bytes) -> AgentHello:
        """Loads the key agent into RAM."""

    async def generate_dac(self) -> RequestedKey:
        """Makes the device key inside. Rule 2."""

    async def read_request(self) -> RequestedKey:
        """The request for the key that is there already."""

    async def install_factory_data(self, data: FactoryData) -> bytes:
        """Writes it, reads it back; `FactoryData.digest` as the chip computes it, 32 bytes. Rule 3."""

    async def read_factory_data(self, blinding: bytes) -> FactoryData:
        """What the chip holds now, before the lock."""

    async def program(self, image: bytes, digest: bytes, signature: bytes) -> bytes:
        """Writes the firmware; SHA-256 as the chip computes it, 32 bytes."""

    async def set_root_keys(self, roots: RootKeys) -> None:
        """Rule 4."""

    async def enable_secure_boot(self, signature: bytes) -> None:
        """Rule 4; the chip refuses when what it holds would not boot."""

    async def lock_debug(self) -> None:
        """Rule 4; refused for settings that could never be re-opened."""

    async def report(self, auth_id: bytes, boundary_nonce: bytes) -> Envelope:
        """A DeviceReport of its state, signed by the device key inside; both arguments have 16 bytes."""

    async def debug_challenge(self) -> bytes:
        """Exact DebugChallenge bytes; any challenge before is void."""

    async def debug_unlock(self, response: Envelope) -> DebugState.ValueType:
        """Hands over an Envelope of a DebugResponse; REOPENED if the chip took it."""

    async def debug_close(self) -> DebugState.ValueType:
        """Locks again and rolls the challenge."""
