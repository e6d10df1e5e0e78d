"""The `openssl` device behind the interface that OBIS's session asks of every chip: a third party's adapter, whole.

Nothing here is imported by OBIS; it imports what a vendor of a new chip would (docs/new-soc.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from device import OpensslDevice

from obis.matter.factory_data import FactoryData
from obis.refusal import Refused
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import DeviceId
from station.silicon.adapter import AgentHello, Identity, RequestedKey, RootKeys
from station.silicon.family import Capabilities


@dataclass
class OpensslChip:
    """A chip in this process's memory and one key file."""

    device: OpensslDevice
    data: FactoryData | None = field(default=None, repr=False)
    image_digest: bytes = b""
    agent_digest: bytes = b""
    is_locked: bool = False

    @property
    def capabilities(self) -> Capabilities:
        """It can little."""
        return Capabilities(
            uid_bytes=len(self.device.uid),
            key_in_secure_element=False,
            key_agreement=False,
            flash_encryption=False,
            debug_reopens=False,
        )

    async def identify(self) -> Identity:
        """From what it holds."""
        lifecycle = Lifecycle.LIFECYCLE_KEYED if self.device.key_file.exists() else Lifecycle.LIFECYCLE_BLANK
        if self.is_locked:
            lifecycle = Lifecycle.LIFECYCLE_LOCKED
        return Identity(self.device.soc, self.device.uid, 1, lifecycle, self._debug(), bytes(32))

    async def load_agent(self, image: bytes) -> AgentHello:
        """Takes any."""
        self.agent_digest = sha256(image).digest()
        return AgentHello(self.agent_digest)

    async def generate_dac(self) -> RequestedKey:
        """A file, once."""
        if self.device.key_file.exists():
            raise _no("there is a key already")
        self.device.make_key()
        return await self.read_request()

    async def read_request(self) -> RequestedKey:
        """By `openssl req`."""
        return RequestedKey(self.device.request())

    async def install_factory_data(self, data: FactoryData) -> bytes:
        """Kept as it is."""
        self._require_open()
        self.data = data
        return data.digest()

    async def read_factory_data(self, blinding: bytes) -> FactoryData:
        """The same."""
        if self.data is None or self.data.blinding != blinding:
            raise _no("there is no such factory data")
        return self.data

    async def program(self, image: bytes, digest: bytes, signature: bytes) -> bytes:
        """Its digest is all that is kept."""
        self._require_open()
        if sha256(image).digest() != digest or not signature:
            raise _no("the image is not the one announced")
        self.image_digest = digest
        return digest

    async def set_root_keys(self, roots: RootKeys) -> None:
        """Has no fuses."""
        self._require_open()

    async def enable_secure_boot(self, signature: bytes) -> None:
        """Has no boot ROM."""
        self._require_open()

    async def lock_debug(self) -> None:
        """A flag."""
        self.is_locked = True

    async def report(self, auth_id: bytes, boundary_nonce: bytes) -> Envelope:
        """Signed by `openssl dgst`."""
        said = DeviceReport(
            auth_id=auth_id,
            device=DeviceId(soc=self.device.soc, uid=self.device.uid),
            boundary_nonce=boundary_nonce,
            agent_digest=self.agent_digest,
            firmware_digest=self.image_digest,
            factory_data_digest=self.data.digest() if self.data else b"",
            lifecycle=(await self.identify()).lifecycle,
            debug_state=self._debug(),
        )
        return self.device.sign(said)

    async def debug_challenge(self) -> bytes:
        """Cannot."""
        raise _no("this chip's debug port does not re-open")

    async def debug_unlock(self, response: Envelope) -> DebugState.ValueType:
        """Cannot."""
        raise _no("this chip's debug port does not re-open")

    async def debug_close(self) -> DebugState.ValueType:
        """Cannot."""
        raise _no("this chip's debug port does not re-open")

    def _debug(self) -> DebugState.ValueType:
        return DebugState.DEBUG_STATE_LOCKED if self.is_locked else DebugState.DEBUG_STATE_OPEN

    def _require_open(self) -> None:
        if self.is_locked:
            raise _no("the chip is locked")


def _no(what: str) -> Refused:
    return Refused(Reason.REASON_CHIP_REFUSED, what, "openssl chip")
