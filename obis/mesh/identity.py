"""Who somebody is: a URI in a certificate, and nothing a caller says about itself.

    spiffe://cloud.obis/{cloud|vault|factory|edgehsm|person|backend}/<id>      from the cloud transport CA
    spiffe://<factory_id>.site.obis/{front|station|supervisor}/<id>            from that site's CA

The host says which CA must have signed (obis/mesh/authorities.py checks it), the first part of the path is the role.
Ids match [a-z0-9-]{1,32}; a person's [a-z0-9.-]{1,64}. A role that serves has a DNS name too, one that says all three
(`front-1.front.th-01.site.obis`), so that a TLS client checks exactly whom it reached before it sends a byte.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from obis.refusal import Refused
from obis.v1 import reason_pb2

CLOUD_HOST: Final = "cloud.obis"
SITE_SUFFIX: Final = ".site.obis"
_ID = re.compile(r"[a-z0-9-]{1,32}")
_PERSON_ID = re.compile(r"[a-z0-9.-]{1,64}")
_URI = re.compile(r"spiffe://([a-z0-9.-]{1,64})/([a-z]{1,16})/([a-z0-9.-]{1,64})")


class Role(StrEnum):
    """What somebody is in the mesh; the word in the URI, in logs and in metric labels."""

    CLOUD = "cloud"
    VAULT = "vault"
    FACTORY = "factory"
    EDGEHSM = "edgehsm"
    PERSON = "person"
    BACKEND = "backend"
    FRONT = "front"
    STATION = "station"
    SUPERVISOR = "supervisor"
    ANONYMOUS = "anonymous"  # on an enrolment port, where nobody has a certificate yet


CLOUD_ROLES: Final = frozenset({Role.CLOUD, Role.VAULT, Role.FACTORY, Role.EDGEHSM, Role.PERSON, Role.BACKEND})
SITE_ROLES: Final = frozenset({Role.FRONT, Role.STATION, Role.SUPERVISOR})
SERVING_ROLES: Final = frozenset({Role.CLOUD, Role.VAULT, Role.FACTORY, Role.FRONT})


@dataclass(frozen=True)
class Identity:
    """One name in the mesh. `factory_id` belongs to site roles; a Factory Service's is its own id."""

    role: Role
    id: str
    factory_id: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for a name that no certificate of this mesh may carry."""
        if self.role is Role.FACTORY and not self.factory_id:
            object.__setattr__(self, "factory_id", self.id)
        fits = (_PERSON_ID if self.role is Role.PERSON else _ID).fullmatch(self.id)
        at_site = self.role in SITE_ROLES and _ID.fullmatch(self.factory_id)
        at_cloud = self.role in CLOUD_ROLES and self.factory_id == (self.id if self.role is Role.FACTORY else "")
        if not (fits and (at_site or at_cloud)):
            raise ValueError(f"not a name of this mesh: {self.role} {self.id!r} at {self.factory_id!r}")

    @property
    def host(self) -> str:
        """The URI's host: it names the CA."""
        return f"{self.factory_id}{SITE_SUFFIX}" if self.role in SITE_ROLES else CLOUD_HOST

    @property
    def uri(self) -> str:
        """The URI SAN."""
        return f"spiffe://{self.host}/{self.role}/{self.id}"

    @property
    def dns_name(self) -> str:
        """The DNS SAN of a role that serves; raises ValueError for one that does not."""
        if self.role not in SERVING_ROLES:
            raise ValueError(f"a {self.role} serves nothing")
        return f"{self.id}.{self.role}.{self.host}"

    @classmethod
    def parse(cls, uri: str) -> Identity:
        """The identity of a URI SAN; raises ValueError unless it is exactly in the form above."""
        match = _URI.fullmatch(uri)
        if not match or match[2] not in CLOUD_ROLES | SITE_ROLES:
            raise ValueError("not a name of this mesh")
        identity = cls(Role(match[2]), match[3], match[1].removesuffix(SITE_SUFFIX) if match[2] in SITE_ROLES else "")
        if identity.uri != uri:
            raise ValueError("not a name of this mesh: the role does not belong to the host")
        return identity


@dataclass(frozen=True)
class Peer:
    """The authenticated other end of a call."""

    role: Role
    id: str
    factory_id: str
    key_digest: bytes  # SHA-256 of the certificate's DER SubjectPublicKeyInfo, 32 bytes; empty without certificate
    valid_until: datetime | None  # the certificate's, in UTC; a connection may outlive it, a call may not

    @property
    def name(self) -> str:
        """How logs call it: its URI, or "anonymous"."""
        return Role.ANONYMOUS if self.role is Role.ANONYMOUS else Identity(self.role, self.id, self.factory_id).uri


ANONYMOUS: Final = Peer(Role.ANONYMOUS, "", "", b"", None)
_calling: ContextVar[Peer] = ContextVar("obis_calling_peer")


def calling_peer() -> Peer:
    """Who makes the call that is being served; raises Unidentified outside of one."""
    peer = _calling.get(None)
    if peer is None:
        raise Refused(reason_pb2.REASON_IDENTITY_UNKNOWN, "nobody is calling here")
    return peer


def set_calling_peer(peer: Peer) -> None:
    """For the interceptor, and for tests that call a servicer directly."""
    _calling.set(peer)
