"""What a TrustRoot must be in itself, beyond the rules of its fields. Everything here is TRUST_ROOT_INVALID.

1. Persons, keys, roles and sites stand once each; a key's id is the SHA-256 of its SubjectPublicKeyInfo.
2. A key is of its scheme's kind; WebAuthn keys, and only they, name relying party and origin.
3. Roles and sites name keys of the root; a key's person is a person of the root.
4. ROOT, GRANT and ENROLMENT are held by persons' keys only: no machine can stand for a human, whatever it stole.
5. A threshold can be met: at least that many distinct holders. ROOT is there.
6. WITNESS keys are Ed25519 (C2SP cosignatures know nothing else); a site's keys hold SITE.
7. It expires after it was issued; the transport CA's and the site root's keys are P-256.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from obis.refusal import Refused
from obis.trust.signature import key_id, load_public_key
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootKey, RootRole, RootRoleRule, TrustRoot

PERSONS_ONLY: Final = frozenset({RootRole.ROOT_ROLE_ROOT, RootRole.ROOT_ROLE_GRANT, RootRole.ROOT_ROLE_ENROLMENT})


def require_root_rules(root: TrustRoot) -> None:
    """Raises Refused TRUST_ROOT_INVALID and says which rule."""
    _require_once("person", (person.person_id for person in root.persons))
    _require_once("key", (key.key_id for key in root.keys))
    _require_once("role", (RootRole.Name(rule.role) for rule in root.roles))
    _require_once("site", (site.factory_id for site in root.sites))
    persons = {person.person_id for person in root.persons}
    for key in root.keys:
        _require_key(key, persons)
    keys = {key.key_id: key for key in root.keys}
    for rule in root.roles:
        _require_role(rule, keys)
    _require_sites(root)
    if root.expires_at <= root.issued_at:
        _refuse("it expires before it is issued")
    for spki_der in (root.transport_ca_spki_der, root.site_root_spki_der):
        _require_kind(spki_der, SigScheme.SIG_SCHEME_P256)


def _require_key(key: RootKey, persons: set[str]) -> None:
    if key_id(key.spki_der) != key.key_id:
        _refuse(f"key id {key.key_id[:16]} is not the digest of its key")
    _require_kind(key.spki_der, key.scheme)
    if key.person_id and key.person_id not in persons:
        _refuse(f"key {key.key_id[:16]} belongs to nobody it names")
    is_webauthn = key.scheme == SigScheme.SIG_SCHEME_WEBAUTHN_ES256
    if bool(key.webauthn_rp_id) != is_webauthn or bool(key.webauthn_origin) != is_webauthn:
        _refuse(f"key {key.key_id[:16]}: relying party and origin go with WebAuthn and nothing else")


def _require_kind(spki_der: bytes, scheme: SigScheme.ValueType) -> None:
    try:
        load_public_key(spki_der, scheme)
    except Refused as refused:
        raise Refused(Reason.REASON_TRUST_ROOT_INVALID, refused.what, refused.where) from refused


def _require_role(rule: RootRoleRule, keys: dict[str, RootKey]) -> None:
    name = RootRole.Name(rule.role)
    _require_once(f"key of {name}", rule.key_ids)
    if missing := [each for each in rule.key_ids if each not in keys]:
        _refuse(f"{name} names key {missing[0][:16]}, which is not in the root")
    held = [keys[each] for each in rule.key_ids]
    if rule.role in PERSONS_ONLY and any(not key.person_id for key in held):
        _refuse(f"{name} is held by a key without a person")
    if len({key.person_id or key.key_id for key in held}) < rule.threshold:
        _refuse(f"{name} can never reach its threshold of {rule.threshold}")
    if rule.role == RootRole.ROOT_ROLE_WITNESS and any(key.scheme != SigScheme.SIG_SCHEME_ED25519 for key in held):
        _refuse("a WITNESS key is not Ed25519")


def _require_sites(root: TrustRoot) -> None:
    roles = {rule.role: rule for rule in root.roles}
    if RootRole.ROOT_ROLE_ROOT not in roles:
        _refuse("nobody holds ROOT")
    site_rule = roles.get(RootRole.ROOT_ROLE_SITE)
    may = set(site_rule.key_ids) if site_rule else set()
    _require_once("site key", (each for site in root.sites for each in site.site_key_ids))
    for site in root.sites:
        if not may.issuperset(site.site_key_ids):
            _refuse(f"a key of site {site.factory_id} does not hold SITE")


def _require_once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            _refuse(f"{what} {name[:64]} stands twice")
        seen.add(name)


def _refuse(what: str) -> None:
    raise Refused(Reason.REASON_TRUST_ROOT_INVALID, what, "trust root")
