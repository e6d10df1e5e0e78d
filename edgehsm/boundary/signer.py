"""Envelope signatures by keys inside the element, and what the handles of an epoch are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgehsm.boundary.element import Element, KeyHandle, KeyKind
from obis.trust.signature import key_id, low_s
from obis.v1.envelope_pb2 import SigScheme

SCHEMES: Final = {
    KeyKind.SIGN_P256: SigScheme.SIG_SCHEME_P256,
    KeyKind.SIGN_ED25519: SigScheme.SIG_SCHEME_ED25519,
}


@dataclass(frozen=True, slots=True)
class ElementSigner:
    """`obis.trust.envelope.Signer` for one handle."""

    element: Element
    handle: KeyHandle
    kind: KeyKind = KeyKind.SIGN_P256

    @property
    def key_id(self) -> str:
        """64 hex digits."""
        return key_id(self.element.public(self.handle))

    @property
    def scheme(self) -> SigScheme.ValueType:
        """How it signs."""
        return SCHEMES[self.kind]

    def sign(self, pae: bytes) -> bytes:
        """The signature over these bytes; a P-256 one with the low S."""
        signature = self.element.sign(self.handle, pae)
        return low_s(signature) if self.kind is KeyKind.SIGN_P256 else signature


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """The handles of an epoch's five keys; another epoch has others."""

    epoch: int

    @property
    def identity(self) -> KeyHandle:
        """P-256: signs this EdgeHSM's requests."""
        return KeyHandle(f"identity-{self.epoch}")

    @property
    def log(self) -> KeyHandle:
        """Ed25519: signs checkpoints."""
        return KeyHandle(f"log-{self.epoch}")

    @property
    def hpke(self) -> KeyHandle:
        """P-256: opens packages."""
        return KeyHandle(f"hpke-{self.epoch}")

    @property
    def site_ca(self) -> KeyHandle:
        """P-256: certifies transport keys of the site."""
        return KeyHandle(f"site-ca-{self.epoch}")

    @property
    def wrap(self) -> KeyHandle:
        """RSA-3072: product keys are wrapped to it."""
        return KeyHandle(f"wrap-{self.epoch}")

    def pai(self, product_id: bytes) -> KeyHandle:
        """P-256: signs DACs of one product."""
        return KeyHandle(f"pai-{self.epoch}-{product_id.hex()}")

    def debug(self, product_id: bytes) -> KeyHandle:
        """P-256: answers debug challenges of one product."""
        return KeyHandle(f"debug-{self.epoch}-{product_id.hex()}")
