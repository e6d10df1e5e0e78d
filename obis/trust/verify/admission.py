"""Leaves about the EdgeHSM itself: starts, roots, lists, Grants, keys, Authorizations, ends, stations.

Each handler takes the log's state, the whole leaf and its entry, refuses what the gate should have refused, and moves
the state on.
"""

from __future__ import annotations

from obis.matter.csr import parse_csr
from obis.refusal import Refused
from obis.trust.grant import find_cap
from obis.trust.signature import key_id
from obis.trust.verify.certificates import Pai
from obis.trust.verify.dacs import DacCheck
from obis.trust.verify.governance import find
from obis.trust.verify.roots import Judged
from obis.trust.verify.state import Batch, LogState
from obis.v1.authorization_pb2 import Authorization
from obis.v1.grant_pb2 import Grant
from obis.v1.leaf_pb2 import (
    AuthorizationAdmittedLeaf,
    AuthorizationClosedLeaf,
    GrantAdmittedLeaf,
    GrantClosedLeaf,
    IncarnationLeaf,
    LogLeaf,
    PaiInstalledLeaf,
    ProductKeysLeaf,
    RevocationLeaf,
    StationEnrolledLeaf,
    TrustRootLeaf,
)
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootRole


def take_incarnation(state: LogState, leaf: LogLeaf, entry: IncarnationLeaf) -> None:
    """A start names the log as it was, and no two starts are alike."""
    if entry.previous_root != state.frontier.root():
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"the start at leaf {leaf.index} names another log before it")
    if entry.incarnation in state.incarnations:
        raise Refused(Reason.REASON_BROKEN_CHAIN, "two starts have the same incarnation")
    state.incarnations.add(entry.incarnation)


def take_trust_root(state: LogState, leaf: LogLeaf, entry: TrustRootLeaf) -> None:
    """A root the export holds, not older than the last."""
    del leaf
    digests = {view.version: view.payload_digest for view in state.everything.roots.views}
    if digests.get(entry.version) != entry.payload_digest:
        raise Refused(Reason.REASON_TRUST_ROOT_INVALID, f"it took a root version {entry.version} that is not here")
    if entry.version < state.root_version:
        raise Refused(Reason.REASON_TRUST_ROOT_STALE, "it took an older root after a newer one")
    state.root_version = entry.version


def take_revocation(state: LogState, leaf: LogLeaf, entry: RevocationLeaf) -> None:
    """A list the export holds; from here on it is enforced."""
    del leaf
    judged = state.everything.governance.revocations.get(entry.sequence)
    if judged is None or judged.digest != entry.payload_digest:
        raise Refused(Reason.REASON_REVOCATION_STALE, f"it took a list {entry.sequence} that is not here")
    if entry.sequence < state.revocation_sequence:
        raise Refused(Reason.REASON_REVOCATION_STALE, "it took an older list after a newer one")
    state.revocation_sequence = entry.sequence
    state.revoked_auth_ids = {*judged.message.auth_ids, *judged.message.paused_auth_ids}
    state.revoked_grants = set(judged.message.grant_digests)
    state.lowered |= {each.auth_id: each.quantity for each in judged.message.lowered}
    for auth_id, batch in state.batches.items():
        batch.quantity = min(batch.quantity, state.lowered.get(auth_id, batch.quantity))


def take_grant_admitted(state: LogState, leaf: LogLeaf, entry: GrantAdmittedLeaf) -> None:
    """A Grant the export holds, that gives this EdgeHSM and epoch the share the leaf says."""
    judged = find(state.everything.governance.grants, entry.grant_digest, "Grant")
    grant = judged.message
    _require_timely(state, judged.root_version, leaf.at)
    if (grant.rule_digest, grant.product_id) != (entry.rule_digest, entry.product_id):
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the leaf says another rule or product than the Grant")
    if _share(state, grant) != entry.edge_cap:
        raise Refused(Reason.REASON_EDGE_CAP_EXCEEDED, "the leaf says another share than the Grant")
    state.grants[entry.grant_digest] = entry.edge_cap


def take_product_keys(state: LogState, leaf: LogLeaf, entry: ProductKeysLeaf) -> None:
    """Keys made under an admitted Grant; those the PAI was certified for."""
    del leaf
    if entry.grant_digest not in state.grants:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "keys were made without an admitted Grant")
    for pai in state.everything.pais.values():
        if (pai.edgehsm_id, pai.epoch, pai.product_id) == (*state.edgehsm, entry.product_id):
            _require_same_keys(pai, entry)


def _require_same_keys(pai: Pai, entry: ProductKeysLeaf) -> None:
    if parse_csr(pai.request.pai_csr_der).spki_digest != entry.pai_spki_digest:
        raise Refused(Reason.REASON_KEY_UNKNOWN, "the PAI was certified for another key than the log says")
    debug = pai.request.debug_spki_der
    if (bytes.fromhex(key_id(debug)) if debug else b"") != entry.debug_spki_digest:
        raise Refused(Reason.REASON_KEY_UNKNOWN, "the request names another debug authority key than the log says")


def take_pai_installed(state: LogState, leaf: LogLeaf, entry: PaiInstalledLeaf) -> None:
    """A PAI the export holds, for this EdgeHSM, epoch and product."""
    del leaf
    pai = _pai(state, entry.pai_cert_digest)
    if pai.product_id != entry.product_id:
        raise Refused(Reason.REASON_WRONG_PRODUCT, "the PAI is for another product than the leaf says")
    state.pai_digests.add(entry.pai_cert_digest)


def _pai(state: LogState, digest: bytes) -> Pai:
    pai = state.everything.pais.get(digest)
    if pai is None:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "names a PAI that is not in the export")
    if (pai.edgehsm_id, pai.epoch) != state.edgehsm:
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the PAI is of another EdgeHSM or epoch")
    return pai


def take_authorization_admitted(state: LogState, leaf: LogLeaf, entry: AuthorizationAdmittedLeaf) -> None:
    """An Authorization the export holds, once, in sequence, under an admitted Grant, within the share left."""
    governance = state.everything.governance
    judged = governance.authorizations.get(entry.auth_id)
    if judged is None or judged.digest != entry.authorization_digest:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "admits an Authorization that is not in the export")
    auth = judged.message
    _require_timely(state, judged.root_version, leaf.at)
    _require_same(auth, entry)
    if (auth.edgehsm_id, auth.epoch) != state.edgehsm:
        raise Refused(Reason.REASON_WRONG_EDGEHSM, "the Authorization is for another EdgeHSM or epoch")
    if auth.auth_id in state.batches:
        raise Refused(Reason.REASON_REPLAYED, "the Authorization was admitted before")
    if auth.sequence in {batch.auth.sequence for batch in state.batches.values()}:
        raise Refused(Reason.REASON_REPLAYED, "the Authorization's sequence was admitted before")
    grant = governance.grant_of(auth)
    if auth.auth_id in state.revoked_auth_ids or grant.digest in state.revoked_grants:
        raise Refused(Reason.REASON_REVOKED, "the Authorization or its Grant was revoked before it was admitted")
    _require_room(state, grant, auth)
    dacs = DacCheck(auth, _pai(state, auth.pai_cert_digest))
    quantity = min(auth.quantity, state.lowered.get(auth.auth_id, auth.quantity))
    version = governance.versions[auth.version_digest]
    state.batches[auth.auth_id] = Batch(auth, grant, version, dacs, quantity)


def _require_same(auth: Authorization, entry: AuthorizationAdmittedLeaf) -> None:
    said = (entry.grant_digest, entry.sequence, entry.quantity, entry.package_digest)
    if said != (auth.grant_digest, auth.sequence, auth.quantity, auth.package_digest):
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "the leaf says other than the Authorization it names")


def _require_room(state: LogState, grant: Judged[Grant], auth: Authorization) -> None:
    """The share bounds the sum of what is admitted; a closed Authorization holds only what it used."""
    if grant.digest not in state.grants or grant.digest in state.closed_grants:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "its Grant is not admitted here, or closed")
    held = sum(batch.committed for batch in state.batches.values() if batch.grant.digest == grant.digest)
    if held + auth.quantity > state.grants[grant.digest]:
        raise Refused(
            Reason.REASON_EDGE_CAP_EXCEEDED, f"{held} + {auth.quantity} of a share of {state.grants[grant.digest]}"
        )


def take_authorization_closed(state: LogState, leaf: LogLeaf, entry: AuthorizationClosedLeaf) -> None:
    """It used what was issued under it."""
    del leaf
    batch = state.batch(entry.auth_id)
    if batch.is_closed:
        raise Refused(Reason.REASON_AUTHORIZATION_CLOSED, "the Authorization was closed before this leaf")
    if entry.used != batch.issued:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"closed with {entry.used} used, {batch.issued} were issued")
    batch.close_reason = entry.close_reason


def take_grant_closed(state: LogState, leaf: LogLeaf, entry: GrantClosedLeaf) -> None:
    """It gives back no more than its share less what was issued, and only once its Authorizations have ended."""
    del leaf
    batches = [batch for batch in state.batches.values() if batch.grant.digest == entry.grant_digest]
    issued = sum(batch.issued for batch in batches)
    share = state.grants.get(entry.grant_digest)
    if share is None or entry.used != issued or entry.released > share - issued:
        raise Refused(Reason.REASON_BROKEN_CHAIN, f"closed with {entry.used} used, {issued} of {share} were issued")
    if any(not batch.is_closed for batch in batches):
        raise Refused(Reason.REASON_AUTHORIZATION_CLOSED, "a share was given back while an Authorization ran on")
    state.closed_grants.add(entry.grant_digest)


def take_station_enrolled(state: LogState, leaf: LogLeaf, entry: StationEnrolledLeaf) -> None:
    """By a SITE key of this EdgeHSM's own factory."""
    del leaf
    factory_id = state.approval.message.factory_id
    views = state.everything.roots.views
    of_site = {
        key for view in views for site in view.root.sites if site.factory_id == factory_id for key in site.site_key_ids
    }
    held = {key.key_id for key in state.everything.roots.keys_of(RootRole.ROOT_ROLE_SITE)}
    if entry.signed_by not in of_site & held:
        raise Refused(Reason.REASON_ROLE_NOT_HELD, "a station was enrolled by a key that is not this site's")
    state.stations.add(entry.spki_digest)
    if len(state.stations) > state.approval.message.max_stations:
        raise Refused(Reason.REASON_GRANT_EXCEEDED, "more stations than the approval allows")


def _share(state: LogState, grant: Grant) -> int:
    return find_cap(grant, state.approval.message.factory_id, *state.edgehsm).max_quantity


def _require_timely(state: LogState, root_version: int, at: int) -> None:
    """Admitted before its root expired; and if only an older root accepts it, before the newer one was admitted."""
    if at >= max(view.root.expires_at for view in state.everything.roots.views):
        raise Refused(Reason.REASON_EXPIRED, "admitted after the trust root had expired")
    if root_version < state.root_version:
        raise Refused(Reason.REASON_TRUST_ROOT_STALE, "admitted after a trust root that no longer accepts its signers")
