"""One chip: its states, and what it refuses in each.

   BLANK -> KEYED -> PROGRAMMED -> LOCKED <-> DEBUG_OPEN

1. A key is made once; a second time is refused, whoever asks.
2. Factory data and image may be written until the lock, never after it, and the image only with the digest announced.
3. Fuses are burnt once. Secure boot goes on only over an image that the burnt key signed; the lock only over secure
   boot where a root was burnt, and only with a debug root that can open it again.
4. A locked chip opens its debug port for one DebugResponse to its one outstanding challenge, signed under the debug
   root; any attempt uses the challenge up. Closing, or losing power, locks it again.
5. A report tells the chip's own state; only the authorization and the nonce come from outside.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.scope_pb2 import DeviceId
from station.silicon.family import factory_data
from station.silicon.frames import Fields, Op, Status, Tag
from station.silicon.registry import family
from station.virtual import dsse
from station.virtual.debug import DebugPort
from station.virtual.fuses import FuseBurnt, Fuses
from station.virtual.key import DeviceKey

MAX_IMAGE_BYTES = 64 << 20


class No(Exception):
    """The chip's refusal."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


@dataclass
class Chip:
    """A chip of one family with its uid. What only RAM holds is lost by `power_cycle`."""

    soc: str
    uid: bytes
    fuses: Fuses = field(default_factory=Fuses)
    key: DeviceKey | None = None
    data: bytes = field(default=b"", repr=False)
    data_digest: bytes = b""
    image_digest: bytes = b""
    image: bytes = field(default=b"", repr=False)
    agent_digest: bytes = b""
    announced: bytes = b""
    size: int = 0
    incoming: bytearray = field(default_factory=bytearray, repr=False)
    port: DebugPort = field(default_factory=DebugPort)

    @property
    def lifecycle(self) -> Lifecycle.ValueType:
        """What the chip is now; follows from what it holds."""
        if self.port.is_open:
            return Lifecycle.LIFECYCLE_DEBUG_OPEN
        if self.fuses.debug_locked:
            return Lifecycle.LIFECYCLE_LOCKED
        if self.data and self.image_digest:
            return Lifecycle.LIFECYCLE_PROGRAMMED
        return Lifecycle.LIFECYCLE_KEYED if self.key else Lifecycle.LIFECYCLE_BLANK

    @property
    def debug_state(self) -> DebugState.ValueType:
        """What the debug port is now."""
        if self.port.is_open:
            return DebugState.DEBUG_STATE_REOPENED
        return DebugState.DEBUG_STATE_LOCKED if self.fuses.debug_locked else DebugState.DEBUG_STATE_OPEN

    def handle(self, op: Op, asked: Fields) -> Fields:
        """The answer; raises No."""
        handler = _HANDLERS.get(op)
        if handler is None:
            raise No(Status.UNKNOWN_OP)
        try:
            return handler(self, asked)
        except KeyError:
            raise No(Status.BAD_VALUE) from None
        except FuseBurnt:
            raise No(Status.FUSED) from None

    def power_cycle(self) -> None:
        """RAM is gone: a half-written image, an outstanding challenge, an open port."""
        self.incoming, self.announced, self.size = bytearray(), b"", 0
        self.port = DebugPort()

    def identify(self, _: Fields) -> Fields:
        """Who and what it is."""
        return {
            Tag.SOC: self.soc.encode(),
            Tag.UID: self.uid,
            Tag.REVISION: b"\x01",
            Tag.LIFECYCLE: bytes([self.lifecycle]),
            Tag.DEBUG: bytes([self.debug_state]),
            Tag.FUSES: self.fuses.digest(),
        }

    def load_agent(self, asked: Fields) -> Fields:
        """Takes the key agent; its digest goes into the report."""
        self._require_unlocked()
        self.agent_digest = sha256(asked[Tag.DATA]).digest()
        return {Tag.DIGEST: self.agent_digest}

    def make_key(self, _: Fields) -> Fields:
        """Rule 1."""
        self._require_unlocked()
        if self.key:
            raise No(Status.KEY_EXISTS)
        self.key = DeviceKey.make()
        return {Tag.DATA: self.key.request(self.uid)}

    def read_csr(self, _: Fields) -> Fields:
        """The request again, for a station that lost it; the agent that signs it is gone once locked."""
        self._require_unlocked()
        return {Tag.DATA: self._own_key().request(self.uid)}

    def write_data(self, asked: Fields) -> Fields:
        """Takes factory data in its family's format and the blinding; answers with the digest of what it understood."""
        self._require_unlocked()
        self._own_key()
        own = family(self.soc)
        if len(asked[Tag.DATA]) > own.capabilities.data_bytes:
            raise No(Status.BAD_VALUE)
        try:
            understood = factory_data(own.decode(asked[Tag.DATA]), asked[Tag.SALT])
        except ValueError:
            raise No(Status.BAD_VALUE) from None
        self.data, self.data_digest = asked[Tag.DATA], understood.digest()
        return {Tag.DIGEST: self.data_digest}

    def read_data(self, _: Fields) -> Fields:
        """Factory data, until the lock."""
        self._require_unlocked()
        return {Tag.DATA: self.data}

    def begin_image(self, asked: Fields) -> Fields:
        """Rule 2: announces size and digest."""
        self._require_unlocked()
        size = int.from_bytes(asked[Tag.SIZE])
        if len(asked[Tag.DIGEST]) != 32 or not 0 < size <= MAX_IMAGE_BYTES:
            raise No(Status.BAD_VALUE)
        self.announced, self.size, self.incoming, self.image_digest = asked[Tag.DIGEST], size, bytearray(), b""
        return {}

    def write_image(self, asked: Fields) -> Fields:
        """Takes a chunk, in order; the same chunk again is the same chunk."""
        at, chunk = int.from_bytes(asked[Tag.OFFSET]), asked[Tag.DATA]
        if not self.announced:
            raise No(Status.WRONG_STATE)
        if at > len(self.incoming) or at + len(chunk) > self.size:
            raise No(Status.BAD_VALUE)
        self.incoming[at:] = chunk
        return {}

    def end_image(self, asked: Fields) -> Fields:
        """Rule 2; where a secure boot key is burnt already, also its signature."""
        image, digest = bytes(self.incoming), sha256(self.incoming).digest()
        announced = self.announced
        self.incoming, self.announced = bytearray(), b""
        if not announced or digest != announced or len(image) != self.size:
            raise No(Status.DIGEST_MISMATCH)
        if self.fuses.secure_boot:
            self._require_signed(image, asked.get(Tag.SIGNATURE, b""))
        self.image, self.image_digest = image, digest
        return {Tag.DIGEST: digest}

    def set_roots(self, asked: Fields) -> Fields:
        """Rule 3: secure boot root, debug root and lowest version, burnt."""
        self._require_unlocked()
        self.fuses.burn("secure_boot_spki", asked[Tag.SECURE_BOOT_SPKI])
        self.fuses.burn("debug_spki", asked[Tag.DEBUG_SPKI])
        self.fuses.burn("minimum_version", asked[Tag.MINIMUM_VERSION])
        return {Tag.FUSES: self.fuses.digest()}

    def secure_boot(self, asked: Fields) -> Fields:
        """Rule 3: on for ever, if what lies in flash would boot."""
        self._require_unlocked()
        if not self.image_digest or not self.fuses.secure_boot_spki:
            raise No(Status.WRONG_STATE)
        self._require_signed(self.image, asked.get(Tag.SIGNATURE, b""))
        self.fuses.burn("secure_boot", b"\x01")
        return {Tag.FUSES: self.fuses.digest()}

    def lock(self, _: Fields) -> Fields:
        """Rule 3: closes the debug port; the image leaves this model's memory, its digest stays."""
        self._require_unlocked()
        unfinished = self.lifecycle != Lifecycle.LIFECYCLE_PROGRAMMED
        if unfinished or (self.fuses.secure_boot_spki and not self.fuses.secure_boot) or not self.fuses.debug_spki:
            raise No(Status.WRONG_STATE)
        self.fuses.burn("debug_locked", b"\x01")
        self.image = b""
        return {Tag.FUSES: self.fuses.digest()}

    def report(self, asked: Fields) -> Fields:
        """Rule 5."""
        report = DeviceReport(
            auth_id=asked[Tag.AUTH_ID],
            device=DeviceId(soc=self.soc, uid=self.uid),
            boundary_nonce=asked[Tag.NONCE],
            agent_digest=self.agent_digest,
            firmware_digest=self.image_digest,
            factory_data_digest=self.data_digest,
            lifecycle=self.lifecycle,
            debug_state=self.debug_state,
        )
        if len(report.auth_id) != 16 or len(report.boundary_nonce) != 16:
            raise No(Status.BAD_VALUE)
        return {Tag.DATA: self._own_key().sign_report(report.SerializeToString(deterministic=True))}

    def challenge(self, _: Fields) -> Fields:
        """Rule 4: a new challenge; the one before it is void."""
        if not self.fuses.debug_locked or self.port.is_open:
            raise No(Status.WRONG_STATE)
        device = DeviceId(soc=self.soc, uid=self.uid)
        return {Tag.DATA: self.port.challenge(device, self.lifecycle, secrets.token_bytes(32))}

    def unlock(self, asked: Fields) -> Fields:
        """Rule 4."""
        payload = dsse.open_signed(asked[Tag.DATA], dsse.DEBUG_RESPONSE, self.fuses.debug_spki)
        if not self.port.open(payload, DeviceId(soc=self.soc, uid=self.uid)):
            raise No(Status.CHALLENGE_INVALID)
        return {Tag.DEBUG: bytes([self.debug_state])}

    def close(self, _: Fields) -> Fields:
        """Rule 4."""
        if not self.port.is_open:
            raise No(Status.WRONG_STATE)
        self.port = DebugPort()
        return {Tag.DEBUG: bytes([self.debug_state])}

    def _require_unlocked(self) -> None:
        if self.fuses.debug_locked:
            raise No(Status.LOCKED)

    def _own_key(self) -> DeviceKey:
        if self.key is None:
            raise No(Status.NO_KEY)
        return self.key

    def _require_signed(self, image: bytes, signature: bytes) -> None:
        if not dsse.is_signature(self.fuses.secure_boot_spki, signature, image):
            raise No(Status.SIGNATURE_INVALID)


_HANDLERS: dict[Op, Callable[[Chip, Fields], Fields]] = {
    Op.IDENTIFY: Chip.identify,
    Op.LOAD_AGENT: Chip.load_agent,
    Op.MAKE_KEY: Chip.make_key,
    Op.READ_CSR: Chip.read_csr,
    Op.WRITE_DATA: Chip.write_data,
    Op.READ_DATA: Chip.read_data,
    Op.BEGIN_IMAGE: Chip.begin_image,
    Op.WRITE_IMAGE: Chip.write_image,
    Op.END_IMAGE: Chip.end_image,
    Op.SET_ROOTS: Chip.set_roots,
    Op.SECURE_BOOT: Chip.secure_boot,
    Op.LOCK: Chip.lock,
    Op.REPORT: Chip.report,
    Op.CHALLENGE: Chip.challenge,
    Op.UNLOCK: Chip.unlock,
    Op.CLOSE: Chip.close,
}
