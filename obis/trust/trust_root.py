"""Whose signature counts: the trust root, walked from a pinned fingerprint, and envelopes judged by it.

Rules of the walk:
 1. Version 1's payload has the pinned SHA-256 (the mesh's fingerprint) and is signed by its own ROOT threshold.
 2. Version N+1 follows version N, none skipped, none repeated; it is signed by the ROOT threshold of N and of itself.
 3. Each version keeps the rules of `root_rules`.

Rules of `TrustRootView.verify`, each with its own reason:
 1. The envelope's form and type are right; the type has a role.
 2. Every key is in the current root (never fetched), not revoked, and holds the role; every scheme is the root's.
 3. Every signature verifies. One bad signature refuses the envelope, whatever else is in it.
 4. The payload parses, closed.
 5. The proposer did not sign (PROPOSER_SIGNED); distinct persons reach the threshold (a machine's key is its own).
 6. With `now`: the root has not expired. It blocks what is new; running batches go on, so they pass None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, TypeVar

from google.protobuf.message import Message

from obis.refusal import Refused
from obis.trust.envelope import digest, pae, require_form, require_type
from obis.trust.payload import PERSON_REQUEST, TRUST_ROOT, PayloadType, parse_closed
from obis.trust.root_rules import require_root_rules
from obis.trust.signature import verify_signature
from obis.trust.webauthn import RelyingParty
from obis.v1.enrolment_objects_pb2 import PersonRequest
from obis.v1.envelope_pb2 import Envelope, Sig
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootKey, RootPerson, RootRole, RootSite, TrustRoot

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Verified(Generic[M]):
    """A signed object that has been judged: its message, the exact payload and its digest, and who stands behind it.

    `persons` are person ids, and key ids for keys without a person; `keys` are the key ids that signed.
    """

    message: M
    payload: bytes
    digest: bytes
    persons: frozenset[str]
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TrustRootView:
    """One version of the trust root, reached by a walk. Immutable; `extend` gives the next."""

    root: TrustRoot
    payload_digest: bytes
    fingerprint: bytes
    revoked_keys: frozenset[str] = field(default=frozenset())

    @property
    def version(self) -> int:
        """From 1."""
        return self.root.version

    @cached_property
    def keys(self) -> dict[str, RootKey]:
        """Every key, by key id."""
        return {key.key_id: key for key in self.root.keys}

    @property
    def persons(self) -> dict[str, RootPerson]:
        """Every person, by person id."""
        return {person.person_id: person for person in self.root.persons}

    def keys_of(self, role: RootRole.ValueType) -> tuple[RootKey, ...]:
        """The keys that hold a role, in the root's order; none for a role the root does not give."""
        return tuple(self.keys[key_id] for key_id in self._holders.get(role, ()))

    @cached_property
    def _holders(self) -> dict[RootRole.ValueType, tuple[str, ...]]:
        return {rule.role: tuple(rule.key_ids) for rule in self.root.roles}

    def threshold(self, role: RootRole.ValueType) -> int:
        """Distinct persons (or machines) a role needs. Raises Refused ROLE_NOT_HELD for a role nobody holds."""
        for rule in self.root.roles:
            if rule.role == role:
                return rule.threshold
        raise Refused(Reason.REASON_ROLE_NOT_HELD, "nobody holds this role", RootRole.Name(role))

    def site(self, factory_id: str) -> RootSite:
        """One factory's entry. Raises Refused WRONG_FACTORY."""
        for site in self.root.sites:
            if site.factory_id == factory_id:
                return site
        raise Refused(Reason.REASON_WRONG_FACTORY, "the trust root names no such site", factory_id)

    def site_of(self, key_id: str) -> str:
        """The factory id of a SITE key. Raises Refused ROLE_NOT_HELD."""
        for site in self.root.sites:
            if key_id in site.site_key_ids:
                return site.factory_id
        raise Refused(Reason.REASON_ROLE_NOT_HELD, "the key belongs to no site", key_id)

    def holder(self, key_id: str) -> str:
        """Who a key counts as: its person, or the key itself. Raises Refused KEY_UNKNOWN."""
        return _holder(self._key(key_id))

    def without(self, key_ids: Iterable[str]) -> TrustRootView:
        """The same root, with these keys no longer counted (RevocationList.key_ids)."""
        return replace(self, revoked_keys=self.revoked_keys | frozenset(key_ids))

    def verify(self, envelope: Envelope, payload_type: PayloadType[M], *, now: int | None = None) -> Verified[M]:
        """The object, if the role of its type stands behind it. `now` in Unix seconds. Raises Refused."""
        verified = self.verify_partial(envelope, payload_type)
        role = _role(payload_type)
        if len(verified.persons) < self.threshold(role):
            raise Refused(
                Reason.REASON_THRESHOLD_NOT_MET,
                f"{len(verified.persons)} of {self.threshold(role)} persons signed",
                payload_type.text,
            )
        if now is not None and now >= self.root.expires_at:
            raise Refused(Reason.REASON_EXPIRED, "the trust root has expired: nothing new under it", payload_type.text)
        return verified

    def verify_partial(self, envelope: Envelope, payload_type: PayloadType[M]) -> Verified[M]:
        """As `verify`, but the threshold and expiry are not asked for: for proposals that still gather signatures."""
        require_form(envelope)
        require_type(envelope, payload_type)
        role = _role(payload_type)
        keys = [self._verify_one(envelope, sig, role) for sig in envelope.signatures]
        message = parse_closed(payload_type, envelope.payload)
        persons = frozenset(_holder(key) for key in keys)
        proposer = getattr(message, "proposer", None)
        if proposer in persons:
            raise Refused(Reason.REASON_PROPOSER_SIGNED, "the proposer never counts", str(proposer))
        if role == RootRole.ROOT_ROLE_SITE:
            self._require_own_site(message, keys)
        signed_by = frozenset(key.key_id for key in keys)
        return Verified(message, envelope.payload, digest(envelope.payload), persons, signed_by)

    def verify_person(self, envelope: Envelope) -> Verified[PersonRequest]:
        """A PersonRequest, signed by one key of the person it names. Raises Refused."""
        require_form(envelope)
        require_type(envelope, PERSON_REQUEST)
        if len(envelope.signatures) != 1:
            raise Refused(Reason.REASON_THRESHOLD_NOT_MET, "exactly one signature is wanted", PERSON_REQUEST.text)
        key = self._verify_one(envelope, envelope.signatures[0], None)
        message = parse_closed(PERSON_REQUEST, envelope.payload)
        if not key.person_id or key.person_id != message.person_id:
            raise Refused(Reason.REASON_ROLE_NOT_HELD, "signed by another person's key", message.person_id)
        persons, keys = frozenset({key.person_id}), frozenset({key.key_id})
        return Verified(message, envelope.payload, digest(envelope.payload), persons, keys)

    def extend(self, envelope: Envelope) -> TrustRootView:
        """The next version. Raises Refused TRUST_ROOT_STALE, TRUST_ROOT_INVALID, or a reason of `verify`."""
        root = _parse_root(envelope)
        if root.version != self.version + 1:
            raise Refused(
                Reason.REASON_TRUST_ROOT_STALE, f"version {root.version} after {self.version}", TRUST_ROOT.text
            )
        following = TrustRootView(root, digest(envelope.payload), self.fingerprint, self.revoked_keys)
        _require_both_thresholds(envelope, (self, following))
        return following

    def _key(self, key_id: str) -> RootKey:
        if key_id not in self.keys:
            raise Refused(Reason.REASON_KEY_UNKNOWN, "the trust root does not know this key", key_id)
        return self.keys[key_id]

    def _verify_one(self, envelope: Envelope, sig: Sig, role: RootRole.ValueType | None) -> RootKey:
        """The key behind one signature, which holds the role (any, for None)."""
        key = self._key(sig.key_id)
        if key.key_id in self.revoked_keys:
            raise Refused(Reason.REASON_REVOKED, "the key is revoked", sig.key_id)
        if role is not None and key.key_id not in self._holders.get(role, ()):
            raise Refused(Reason.REASON_ROLE_NOT_HELD, f"the key is not {RootRole.Name(role)}", sig.key_id)
        party = RelyingParty(key.webauthn_rp_id, key.webauthn_origin) if key.webauthn_rp_id else None
        verify_signature(pae(envelope.payload_type, envelope.payload), sig, key.spki_der, key.scheme, party)
        return key

    def _require_own_site(self, message: Message, keys: Sequence[RootKey]) -> None:
        """A site's key speaks for its own factory alone."""
        factory_id = str(getattr(message, "factory_id", ""))
        for key in keys:
            if self.site_of(key.key_id) != factory_id:
                raise Refused(Reason.REASON_WRONG_FACTORY, "signed by another site's key", factory_id)


def walk(envelopes: Sequence[Envelope], fingerprint: bytes) -> TrustRootView:
    """The newest version, from the first on. Raises Refused TRUST_ROOT_INVALID where the fingerprint is another."""
    if not envelopes:
        raise Refused(Reason.REASON_TRUST_ROOT_INVALID, "there is no trust root", TRUST_ROOT.text)
    view = _first(envelopes[0], fingerprint)
    for envelope in envelopes[1:]:
        view = view.extend(envelope)
    return view


def _first(envelope: Envelope, fingerprint: bytes) -> TrustRootView:
    root = _parse_root(envelope)
    found = digest(envelope.payload)
    if found != fingerprint:
        raise Refused(
            Reason.REASON_TRUST_ROOT_INVALID, f"the first trust root has fingerprint {found.hex()}", TRUST_ROOT.text
        )
    if root.version != 1:
        raise Refused(Reason.REASON_TRUST_ROOT_STALE, f"begins with version {root.version}", TRUST_ROOT.text)
    view = TrustRootView(root, found, fingerprint)
    view.verify(envelope, TRUST_ROOT)
    return view


def _parse_root(envelope: Envelope) -> TrustRoot:
    require_form(envelope)
    require_type(envelope, TRUST_ROOT)
    root = parse_closed(TRUST_ROOT, envelope.payload)
    require_root_rules(root)
    return root


def _require_both_thresholds(envelope: Envelope, views: tuple[TrustRootView, TrustRootView]) -> None:
    """Each version counts the signatures of its own ROOT keys; a signature of neither version is refused."""
    keys_by_view = [{key.key_id for key in view.keys_of(RootRole.ROOT_ROLE_ROOT)} for view in views]
    for sig in envelope.signatures:
        if not any(sig.key_id in keys for keys in keys_by_view):
            raise Refused(Reason.REASON_KEY_UNKNOWN, "neither version gives this key ROOT", sig.key_id)
    for view, keys in zip(views, keys_by_view, strict=True):
        counted = [sig for sig in envelope.signatures if sig.key_id in keys]
        part = Envelope(payload=envelope.payload, payload_type=envelope.payload_type, signatures=counted)
        view.verify(part, TRUST_ROOT)


def _holder(key: RootKey) -> str:
    return key.person_id or key.key_id


def _role(payload_type: PayloadType[M]) -> RootRole.ValueType:
    if payload_type.role is None:
        raise Refused(Reason.REASON_PAYLOAD_TYPE_UNEXPECTED, "no trust root role signs this", payload_type.text)
    return payload_type.role
