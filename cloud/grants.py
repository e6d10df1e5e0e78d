"""Proposals in the life of the mesh: a Grant is proposed, people sign, the last signature takes effect.

1. Only the OEM's people see proposals, propose and withdraw; whose signature counts, the trust root says alone.
2. A signature is verified with the bytes it is over before it is kept. The signer need not be the caller: a signature
   may come from an offline device by anybody's hand.
3. Everything here happens inside the caller's transaction.
"""

from __future__ import annotations

from secrets import token_bytes

from sqlmodel import Session, col, select

from cloud import certificates, proposal, workspace
from cloud import version as versions
from cloud.drafting import envelope_of, propose, signatures_of
from cloud.effects import TYPES, chain, take_effect, verified_rule
from cloud.roots import Roots
from cloud.store.catalogue import ProductRow, VersionRow
from cloud.store.governance import ProposalRow, ProposalSignatureRow
from cloud.store.people import OrganisationRow
from cloud.store.sites import EdgeHsmRow, FactoryRow
from cloud.viewer import Viewer, find_version, not_found
from obis.matter.common_name import CommonNamePattern
from obis.matter.errors import MatterError
from obis.matter.ids import MAX_SERIAL_BYTES
from obis.refusal import Refused, reason_of
from obis.trust import payload
from obis.trust.envelope import digest
from obis.trust.grant import check_grant
from obis.trust.trust_root import Verified
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.grant_pb2 import DacTemplate, EdgeCap, Grant
from obis.v1.grants_pb2 import ProposalState, ProposeGrantRequest, SignProposalRequest
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule
from obis.v1.versions_pb2 import VersionState

NO_EXPIRY = 253402300799  # 9999-12-31T23:59:59Z: "no well-defined expiry" (RFC 5280 4.1.2.5)


def propose_grant(
    session: Session, roots: Roots, viewer: Viewer, request: ProposeGrantRequest, *, now: int
) -> ProposalRow:
    """A Grant for a submitted (or already approved) version. Raises Refused."""
    viewer.require_oem()
    version = find_version(session, viewer, request.version_id)
    if version.state not in (VersionState.VERSION_STATE_SUBMITTED, VersionState.VERSION_STATE_APPROVED):
        raise Refused(Reason.REASON_STATE_CONFLICT, "the version is not submitted", "version_id")
    product = session.get_one(ProductRow, version.product_id)
    for cap in request.edge_caps:
        _require_odms_own(session, version, cap)
    view = roots.view(session)
    rule, earlier = verified_rule(view, product), chain(session, view, product.product_id)
    place = proposal.next_place(earlier)
    proposal.require_lifetime(rule.message, place, request.total_quantity)
    grant = _grant(request, version, rule, place, viewer.person_id, now)
    check_grant(rule, Verified(grant, b"", b"", frozenset()), earlier)
    _check_again(version, rule.message, certificates.paa(session, product.paa_cert_digest))
    title = proposal.grant_title(grant, product.name, version.label)
    subject = version.version_id
    return propose(
        session, roots, payload.GRANT, grant, proposer=viewer.person_id, subject=subject, title=title, now=now
    )


def sign_proposal(
    session: Session, roots: Roots, viewer: Viewer, request: SignProposalRequest, *, now: int
) -> ProposalRow:
    """Add a signature; the one that completes the quorum takes effect. Raises Refused."""
    row = find_proposal(session, viewer, request.proposal_id)
    if row.state != ProposalState.PROPOSAL_STATE_PROPOSED:
        raise Refused(Reason.REASON_STATE_CONFLICT, "the proposal is closed", "proposal_id")
    view, kind = roots.view(session), TYPES[row.payload_type]
    person = view.holder(request.signature.key_id)
    proposal.require_new_signer(person, row.proposer, [each.person_id for each in signatures_of(session, row)])
    alone = Envelope(payload=row.payload, payload_type=row.payload_type, signatures=[request.signature])
    verified = view.verify_partial(alone, kind)
    if isinstance(verified.message, Grant):
        proposal.require_in_place(verified.message, chain(session, view, verified.message.product_id))
    session.add(
        ProposalSignatureRow(
            proposal_id=row.proposal_id,
            person_id=person,
            key_id=request.signature.key_id,
            signature=request.signature.SerializeToString(deterministic=True),
            signed_at=now,
        )
    )
    session.flush()
    envelope = envelope_of(session, row)
    if len(view.verify_partial(envelope, kind).persons) >= view.threshold(row.role):  # type: ignore[arg-type]  # stored number
        take_effect(session, view, row, envelope, now=now)
    return row


def withdraw_proposal(session: Session, viewer: Viewer, proposal_id: bytes, *, now: int) -> ProposalRow:
    """Close an open proposal without effect. Its proposer alone. Raises Refused."""
    row = find_proposal(session, viewer, proposal_id)
    if row.proposer != viewer.person_id:
        raise Refused(Reason.REASON_ROLE_NOT_ALLOWED, "only its proposer withdraws a proposal", "proposal_id")
    if row.state != ProposalState.PROPOSAL_STATE_PROPOSED:
        raise Refused(Reason.REASON_STATE_CONFLICT, "the proposal is closed", "proposal_id")
    row.state, row.closed_at = ProposalState.PROPOSAL_STATE_WITHDRAWN, now
    session.add(row)
    if row.payload_type == payload.PRODUCT_RULE.text:
        workspace.forget_unsigned(session, row.subject)
    return row


def find_proposal(session: Session, viewer: Viewer, proposal_id: bytes) -> ProposalRow:
    """Raises Refused NOT_FOUND, also for an ODM's people."""
    row = session.get(ProposalRow, proposal_id)
    if row is None or not viewer.is_oem:
        raise not_found("proposal", "proposal_id")
    return row


def list_proposals(session: Session, viewer: Viewer, *, open_only: bool) -> list[ProposalRow]:
    """Oldest first; none for an ODM's people."""
    if not viewer.is_oem:
        return []
    query = select(ProposalRow).order_by(col(ProposalRow.proposed_at), col(ProposalRow.proposal_id))
    if open_only:
        query = query.where(ProposalRow.state == ProposalState.PROPOSAL_STATE_PROPOSED)
    return list(session.exec(query))


def _grant(
    request: ProposeGrantRequest,
    version: VersionRow,
    rule: Verified[ProductRule],
    place: proposal.ChainPlace,
    proposer: str,
    now: int,
) -> Grant:
    manifest = VersionManifest.FromString(version.manifest)
    _require_fits_name(request.common_name_pattern)
    return Grant(
        grant_id=token_bytes(16),
        product_id=version.product_id,
        rule_digest=rule.digest,
        sequence=place.sequence,
        previous_digest=place.previous_digest,
        granted_before=place.granted_before,
        version_id=version.version_id,
        version_digest=version.version_digest,
        total_quantity=request.total_quantity,
        edge_caps=request.edge_caps,
        window=request.window,
        operations=request.operations,
        lease=request.lease,
        required_assurance=request.required_assurance,
        minimum_evidence=request.minimum_evidence,
        template=DacTemplate(
            vendor_id=rule.message.vendor_id,
            product_code=rule.message.product_code,
            common_name_pattern=request.common_name_pattern,
            not_after=NO_EXPIRY,
        ),
        cd_digest=digest(manifest.certification_declaration),
        firmware_digest=manifest.firmware_digest,
        sbom_digest=manifest.sbom_digest,
        soc=manifest.soc,
        proposer=proposer,
        proposed_at=now,
        agent_digest=manifest.agent_digest,
    )


def _require_odms_own(session: Session, version: VersionRow, cap: EdgeCap) -> None:
    """A share goes to an enrolled EdgeHSM in a factory of the ODM that made the version."""
    edge = session.get(EdgeHsmRow, (cap.edgehsm_id, cap.epoch))
    if edge is None or edge.state != EdgeHsmState.EDGE_HSM_STATE_ENROLLED:
        raise Refused(
            Reason.REASON_NOT_ENROLLED, f"{cap.edgehsm_id} epoch {cap.epoch} is not enrolled", "edge_caps.edgehsm_id"
        )
    factory = session.get(FactoryRow, cap.factory_id)
    if factory is None or edge.factory_id != cap.factory_id or factory.organisation_id != version.organisation_id:
        organisation = session.get_one(OrganisationRow, version.organisation_id)
        raise Refused(
            Reason.REASON_WRONG_FACTORY,
            f"{cap.edgehsm_id} does not stand in factory {cap.factory_id} of {organisation.name}",
            "edge_caps.factory_id",
        )


def _require_fits_name(pattern: str) -> None:
    try:
        CommonNamePattern(pattern, MAX_SERIAL_BYTES)
    except MatterError as error:
        raise Refused(reason_of(error.reason), error.what, "common_name_pattern") from error


def _check_again(version: VersionRow, rule: ProductRule, paa_der: bytes) -> None:
    """What people are asked to sign is checked once more, not taken from an earlier day."""
    versions.check_manifest(VersionManifest.FromString(version.manifest), rule, paa_der)
