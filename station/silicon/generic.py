"""The five generic families over a link: one adapter, because they differ in their data format and flags alone."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from obis.matter.factory_data import FactoryData
from obis.refusal import Refused
from obis.v1.device_objects_pb2 import DebugState, Lifecycle
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason
from station.silicon.adapter import AgentHello, Identity, RequestedKey, RootKeys
from station.silicon.family import Capabilities, Family, factory_data
from station.silicon.frames import Op, Tag
from station.silicon.link import Link

_NUMBER_BYTES: Final = 8


class GenericAdapter:
    """A chip of one generic family on the other end of a link. See SocAdapter for every method."""

    def __init__(self, family: Family, link: Link) -> None:
        self._family, self._link = family, link

    @property
    def capabilities(self) -> Capabilities:
        """The family's flags."""
        return self._family.capabilities

    async def identify(self) -> Identity:
        """Refuses a chip of another family."""
        said = await self._link.ask(Op.IDENTIFY)
        if said[Tag.SOC] != self._family.soc.encode():
            raise Refused(Reason.REASON_CHIP_REFUSED, "the chip is of another family", self._family.soc)
        return Identity(
            self._family.soc,
            said[Tag.UID],
            said[Tag.REVISION][0],
            Lifecycle.ValueType(said[Tag.LIFECYCLE][0]),
            DebugState.ValueType(said[Tag.DEBUG][0]),
            said[Tag.FUSES],
        )

    async def load_agent(self, image: bytes) -> AgentHello:
        """The digest is the chip's word."""
        return AgentHello((await self._link.ask(Op.LOAD_AGENT, {Tag.DATA: image}))[Tag.DIGEST])

    async def generate_dac(self) -> RequestedKey:
        """One operation on the chip."""
        return RequestedKey((await self._link.ask(Op.MAKE_KEY))[Tag.DATA])

    async def read_request(self) -> RequestedKey:
        """One operation on the chip."""
        return RequestedKey((await self._link.ask(Op.READ_CSR))[Tag.DATA])

    async def install_factory_data(self, data: FactoryData) -> bytes:
        """Refuses a blob above the family's partition, and a chip that gives back other octets."""
        blob = self._family.encode(data)
        if len(blob) > self.capabilities.data_bytes:
            raise Refused(Reason.REASON_FACTORY_DATA_INVALID, "the data is larger than the partition", self._family.soc)
        digest = (await self._link.ask(Op.WRITE_DATA, {Tag.DATA: blob, Tag.SALT: data.blinding}))[Tag.DIGEST]
        if (await self._link.ask(Op.READ_DATA))[Tag.DATA] != blob:
            raise Refused(Reason.REASON_READBACK_MISMATCH, "the chip holds other factory data", self._family.soc)
        return digest

    async def read_factory_data(self, blinding: bytes) -> FactoryData:
        """Refuses what the family cannot read."""
        blob = (await self._link.ask(Op.READ_DATA))[Tag.DATA]
        try:
            return factory_data(self._family.decode(blob), blinding)
        except ValueError as error:
            raise Refused(Reason.REASON_READBACK_MISMATCH, str(error), self._family.soc) from None

    async def program(self, image: bytes, digest: bytes, signature: bytes) -> bytes:
        """In chunks of the family's size."""
        await self._link.ask(Op.BEGIN_IMAGE, {Tag.SIZE: len(image).to_bytes(_NUMBER_BYTES), Tag.DIGEST: digest})
        for at in range(0, len(image), self.capabilities.image_chunk_bytes):
            chunk = image[at : at + self.capabilities.image_chunk_bytes]
            await self._link.ask(Op.WRITE_IMAGE, {Tag.OFFSET: at.to_bytes(_NUMBER_BYTES), Tag.DATA: chunk})
        return (await self._link.ask(Op.END_IMAGE, {Tag.SIGNATURE: signature}))[Tag.DIGEST]

    async def set_root_keys(self, roots: RootKeys) -> None:
        """Refuses a lock that nothing could open again."""
        if not roots.debug_spki_der:
            raise Refused(Reason.REASON_PREFLIGHT_FAILED, "without a debug root the chip could never be re-opened")
        fields = {
            Tag.SECURE_BOOT_SPKI: roots.secure_boot_spki_der,
            Tag.DEBUG_SPKI: roots.debug_spki_der,
            Tag.MINIMUM_VERSION: roots.minimum_version.to_bytes(4),
        }
        await self._link.ask(Op.SET_ROOTS, fields)

    async def enable_secure_boot(self, signature: bytes) -> None:
        """The chip checks its image under the burnt key first."""
        await self._link.ask(Op.SECURE_BOOT, {Tag.SIGNATURE: signature})

    async def lock_debug(self) -> None:
        """One operation on the chip."""
        await self._link.ask(Op.LOCK)

    async def report(self, auth_id: bytes, boundary_nonce: bytes) -> Envelope:
        """The envelope as the chip serialised it."""
        said = await self._link.ask(Op.REPORT, {Tag.AUTH_ID: auth_id, Tag.NONCE: boundary_nonce})
        try:
            return Envelope.FromString(said[Tag.DATA])
        except DecodeError:
            raise Refused(Reason.REASON_CHIP_UNRESPONSIVE, "the report is no envelope", self._family.soc) from None

    async def debug_challenge(self) -> bytes:
        """One operation on the chip."""
        return (await self._link.ask(Op.CHALLENGE))[Tag.DATA]

    async def debug_unlock(self, response: Envelope) -> DebugState.ValueType:
        """One operation on the chip."""
        said = await self._link.ask(Op.UNLOCK, {Tag.DATA: response.SerializeToString(deterministic=True)})
        return DebugState.ValueType(said[Tag.DEBUG][0])

    async def debug_close(self) -> DebugState.ValueType:
        """One operation on the chip."""
        return DebugState.ValueType((await self._link.ask(Op.CLOSE))[Tag.DEBUG][0])
