"""The vault's RPCs: decode, judge, act, encode. Work is done on a thread, one act at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cloud.vault.issuing import Issuer
from cloud.vault.keys import VaultKeys
from cloud.vault.ledger import Kept, Ledger
from cloud.vault.licence import Pin, judge_pai, judge_site
from obis.v1 import vault_pb2, vault_pb2_grpc

ACTS_PAGE = 500


class VaultServicer(vault_pb2_grpc.VaultServicer):
    """Role cloud alone; what licenses an act is in the request, signed by people."""

    def __init__(self, keys: VaultKeys, ledger: Ledger, fingerprint: bytes, now: Callable[[], int]) -> None:
        self._keys, self._ledger, self._fingerprint, self._now = keys, ledger, fingerprint, now
        self._issuer = Issuer(keys, ledger)

    async def CertifyPai(self, request: vault_pb2.CertifyPaiRequest, context: Any) -> vault_pb2.CertifyPaiResponse:
        """A PAI under a Grant and an approval."""
        kept = await asyncio.to_thread(self._pai, request)
        return vault_pb2.CertifyPaiResponse(pai_cert_der=kept.cert_der, act=kept.act)

    async def CertifySiteCa(
        self, request: vault_pb2.CertifySiteCaRequest, context: Any
    ) -> vault_pb2.CertifySiteCaResponse:
        """A site CA under an approval."""
        kept = await asyncio.to_thread(self._site, request)
        return vault_pb2.CertifySiteCaResponse(site_ca_cert_der=kept.cert_der, act=kept.act)

    async def Describe(self, request: vault_pb2.DescribeRequest, context: Any) -> vault_pb2.DescribeResponse:
        """What is public."""
        return vault_pb2.DescribeResponse(
            paa_cert_der=[paa.cert_der for paa in self._keys.paas.values()],
            site_root_cert_der=self._keys.site_root.cert_der,
        )

    async def ListActs(self, request: vault_pb2.ListActsRequest, context: Any) -> vault_pb2.ListActsResponse:
        """The chain of acts."""
        acts = await asyncio.to_thread(self._ledger.acts, request.from_sequence, ACTS_PAGE)
        return vault_pb2.ListActsResponse(acts=acts)

    def _pin(self) -> Pin:
        return Pin(self._fingerprint, self._ledger.version_seen())

    def _pai(self, request: vault_pb2.CertifyPaiRequest) -> Kept:
        now = self._now()
        licence = judge_pai(
            self._pin(),
            request.trust_roots,
            request.rule,
            request.grant,
            request.approval,
            request.pai_request,
            now=now,
        )
        return self._issuer.certify_pai(licence, now=now)

    def _site(self, request: vault_pb2.CertifySiteCaRequest) -> Kept:
        now = self._now()
        licence = judge_site(self._pin(), request.trust_roots, request.approval, request.site_ca_csr_der, now=now)
        return self._issuer.certify_site(licence, now=now)
