"""The cloud's view of its vault: what it may ask for, as plain values. gRPC and generated services stay in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import grpc

from obis.mesh.identity import Identity, Role
from obis.mesh.status import understood
from obis.v1.envelope_pb2 import Envelope
from obis.v1.vault_pb2 import CertifyPaiRequest, CertifySiteCaRequest, DescribeRequest, ListActsRequest
from obis.v1.vault_pb2_grpc import VaultStub

if TYPE_CHECKING:
    from obis.v1.vault_pb2_grpc import VaultAsyncStub  # a name of the stub file alone

VAULT: Final = Identity(Role.VAULT, "main")
_SECONDS: Final = 20.0


@dataclass(frozen=True)
class PaiOrder:
    """Everything that licenses one PAI."""

    trust_roots: Sequence[Envelope]
    rule: Envelope
    grant: Envelope
    approval: Envelope
    pai_request: Envelope


@dataclass(frozen=True)
class SiteOrder:
    """Everything that licenses one site CA."""

    trust_roots: Sequence[Envelope]
    approval: Envelope
    site_ca_csr_der: bytes


@dataclass(frozen=True)
class Made:
    """A certificate and the encoded Envelope of the VaultAct that says so."""

    cert_der: bytes
    act: bytes


@dataclass(frozen=True)
class Described:
    """What is public."""

    paas_der: tuple[bytes, ...]
    site_root_der: bytes


class Vault(Protocol):
    """What the cloud asks. Each raises Refused with the vault's own reason, or UNREACHABLE."""

    async def describe(self) -> Described:
        """Its public certificates."""

    async def certify_pai(self, order: PaiOrder) -> Made:
        """The same order again: the same certificate."""

    async def certify_site(self, order: SiteOrder) -> Made:
        """The same order again: the same certificate."""

    async def acts(self, from_sequence: int) -> list[Envelope]:
        """Its signed acts from a sequence on, at most 500."""


class VaultOverMesh:
    """The vault at the other end of a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: VaultAsyncStub = VaultStub(channel)

    async def describe(self) -> Described:
        """Its public certificates."""
        with understood("vault"):
            answer = await self._stub.Describe(DescribeRequest(), timeout=_SECONDS)
        return Described(tuple(answer.paa_cert_der), answer.site_root_cert_der)

    async def certify_pai(self, order: PaiOrder) -> Made:
        """A PAI."""
        request = CertifyPaiRequest(
            trust_roots=order.trust_roots,
            rule=order.rule,
            grant=order.grant,
            approval=order.approval,
            pai_request=order.pai_request,
        )
        with understood("vault"):
            answer = await self._stub.CertifyPai(request, timeout=_SECONDS)
        return Made(answer.pai_cert_der, answer.act.SerializeToString(deterministic=True))

    async def certify_site(self, order: SiteOrder) -> Made:
        """A site CA."""
        request = CertifySiteCaRequest(
            trust_roots=order.trust_roots, approval=order.approval, site_ca_csr_der=order.site_ca_csr_der
        )
        with understood("vault"):
            answer = await self._stub.CertifySiteCa(request, timeout=_SECONDS)
        return Made(answer.site_ca_cert_der, answer.act.SerializeToString(deterministic=True))

    async def acts(self, from_sequence: int) -> list[Envelope]:
        """A page of its acts."""
        with understood("vault"):
            answer = await self._stub.ListActs(ListActsRequest(from_sequence=from_sequence), timeout=_SECONDS)
        return list(answer.acts)
