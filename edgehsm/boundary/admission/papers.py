"""Delivered objects as values: what a delivery holds, free of the messages that carried it."""

from __future__ import annotations

from dataclasses import dataclass

from obis.v1.envelope_pb2 import Envelope
from obis.v1.package_pb2 import SealedPackage


@dataclass(frozen=True, slots=True)
class GrantPapers:
    """A Grant and what it stands on; `exact` is what is kept."""

    rule: Envelope
    grant: Envelope
    version_manifest: bytes
    paa_cert_der: bytes
    exact: bytes


@dataclass(frozen=True, slots=True)
class PaiPapers:
    """A certified PAI."""

    product_id: bytes
    pai_cert_der: bytes


@dataclass(frozen=True, slots=True)
class AuthorizationPapers:
    """An Authorization and its package; `exact` is what is kept."""

    authorization: Envelope
    package: SealedPackage
    exact: bytes
