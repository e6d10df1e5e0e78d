"""Who may call what: one row for every RPC of the mesh. What has no row is refused, and a server will not start with it.

A row names roles. Whether this person, of this organisation, may touch this object is the room's own decision; what a
role may never do at all is decided here, before a servicer sees the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from obis.mesh.identity import Peer, Role
from obis.refusal import Refused
from obis.v1 import reason_pb2

AccessTable: TypeAlias = Mapping[str, frozenset[Role]]

_ANYBODY: Final = frozenset(Role)
_NEWCOMER: Final = frozenset({Role.ANONYMOUS})  # no certificate yet: the request carries its own proof
_PERSON: Final = frozenset({Role.PERSON})  # what people decide, and sign with their own keys
_MEMBER: Final = frozenset({Role.PERSON, Role.BACKEND})  # people, and the systems of their organisation
_FACTORY: Final = frozenset({Role.FACTORY})
_STATION: Final = frozenset({Role.STATION})
_SUPERVISOR: Final = frozenset({Role.SUPERVISOR})
_CLOUD: Final = frozenset({Role.CLOUD})


def _rows(service: str, **methods: frozenset[Role]) -> dict[str, frozenset[Role]]:
    return {f"/{service}/{method}": roles for method, roles in methods.items()}


ACCESS: Final[AccessTable] = {
    # ---- served by the cloud
    **_rows(
        "obis.v1.Enrolment",
        GetTrust=_NEWCOMER,
        EnrolPerson=_NEWCOMER,
        EnrolFactory=_NEWCOMER,
        EnrolEdgeHsm=_NEWCOMER,
        GetEdgeHsmEnrolment=_NEWCOMER,
        Renew=frozenset({Role.FACTORY, Role.EDGEHSM, Role.PERSON, Role.BACKEND}),
    ),
    **_rows(
        "obis.v1.Organisations",
        CreateOrganisation=_PERSON,
        ListOrganisations=_MEMBER,
        InvitePerson=_PERSON,
    ),
    **_rows(
        "obis.v1.Products",
        CreateProduct=_PERSON,
        GetProduct=_MEMBER,
        ListProducts=_MEMBER,
        InviteOrganisation=_PERSON,
        AcceptInvitation=_PERSON,
    ),
    **_rows(
        "obis.v1.Versions",
        UploadFirmware=_MEMBER,
        CreateVersion=_MEMBER,
        SubmitVersion=_MEMBER,
        RejectVersion=_PERSON,
        GetVersion=_MEMBER,
        ListVersions=_MEMBER,
        DiffVersion=_MEMBER,
    ),
    **_rows(
        "obis.v1.Grants",
        ProposeGrant=_PERSON,
        ListProposals=_MEMBER,
        GetProposal=_MEMBER,
        SignProposal=_PERSON,
        WithdrawProposal=_PERSON,
        ListGrants=_MEMBER,
    ),
    **_rows(
        "obis.v1.Factories",
        ProposeTicket=_PERSON,
        ProposeApproval=_PERSON,
        ListFactories=_MEMBER,
    ),
    **_rows(
        "obis.v1.Batches",
        CreateBatch=_MEMBER,
        GetBatch=_MEMBER,
        ListBatches=_MEMBER,
        WatchBatch=_MEMBER,
    ),
    **_rows("obis.v1.Keys", ListCertificates=_MEMBER),
    **_rows("obis.v1.Trace", Find=_MEMBER, StreamRecords=_MEMBER, Summarize=_MEMBER, Export=_MEMBER),
    **_rows("obis.v1.FactoryLink", Sync=_FACTORY, FetchArtifact=_FACTORY),
    # ---- served by the vault
    **_rows("obis.v1.Vault", CertifyPai=_CLOUD, CertifySiteCa=_CLOUD, Describe=_CLOUD, ListActs=_CLOUD),
    # ---- served by the Factory Service
    **_rows("obis.v1.Line", WatchWork=_STATION, FetchArtifact=_STATION, RecordStatus=_STATION),
    **_rows(
        "obis.v1.Supervisor",
        EnrolStation=_SUPERVISOR | _NEWCOMER,  # the ticket is the proof
        Status=_SUPERVISOR,
        WatchRecords=_SUPERVISOR,
    ),
    # ---- served by EdgeHSM's front
    **_rows("obis.v1.Provisioning", Provision=_STATION, ReopenDebug=_STATION),
    **_rows(
        "obis.v1.Custody",
        Deliver=_FACTORY,
        FollowLog=_FACTORY,
        Cosigned=_FACTORY,
        EnrolStation=_FACTORY,
        Status=_FACTORY | _SUPERVISOR,
    ),
    # ---- served by all
    **_rows("grpc.health.v1.Health", Check=_ANYBODY, List=_ANYBODY, Watch=_ANYBODY),
}


class AccessTableIncomplete(Exception):
    """A server was about to serve an RPC that nobody decided on."""


def check_complete(served: Iterable[str], table: AccessTable = ACCESS) -> None:
    """Raises AccessTableIncomplete unless every served method (`/package.Service/Method`) has a row."""
    missing = sorted(set(served) - table.keys())
    if missing:
        raise AccessTableIncomplete(f"no row in obis/mesh/access.py for {', '.join(missing)}")


def check_access(peer: Peer, method: str, table: AccessTable = ACCESS) -> None:
    """Raises Refused unless the peer's role may call the method."""
    if peer.role not in table.get(method, frozenset()):
        raise Refused(
            reason_pb2.REASON_ROLE_NOT_ALLOWED,
            f"the role {peer.role} may not call this",
            where=method,
            next_step="call with a certificate of a role that may",
        )
