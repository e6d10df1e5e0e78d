"""A mesh begins: TrustRoot version 1, drafted from public halves alone and signed by its own ROOT quorum.

`obis root draft` reads the people's .pub files and the `public.json` that `python -m cloud init` and
`python -m cloud.vault init` print; it holds no key. `obis root sign` shows what is signed, then adds one person's
signature. The SHA-256 of the payload is the mesh's fingerprint; everybody pins it, so people read it to each other.

public.json of the cloud: {"transport_ca_spki_der": hex, "keys": [{"role", "scheme", "spki_der": hex}]}; of the vault:
{"site_root_spki_der": hex}. A person's key is P-256; a machine's names its scheme.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from obis.cli.approver_key import ApproverKey, PublicKey
from obis.cli.exits import Usage
from obis.trust import payload
from obis.trust.envelope import add_signature, digest, make_envelope, sign_with
from obis.trust.signature import key_id
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.trust_root_pb2 import RootKey, RootPerson, RootRole, RootRoleRule, RootSite, TrustRoot

PEOPLES_ROLES: Final = ("ROOT", "GRANT", "ENROLMENT")
LIFETIME_SECONDS: Final = 5 * 365 * 86400


@dataclass(frozen=True)
class DraftPerson:
    """Somebody whose key counts."""

    person_id: str
    name: str
    key: PublicKey


@dataclass(frozen=True)
class DraftRole:
    """Who holds a role of people, and how many of them must sign."""

    role: str
    threshold: int
    person_ids: tuple[str, ...]


@dataclass(frozen=True)
class DraftSite:
    """A factory, and the supervisors' keys that may sign station tickets there."""

    factory_id: str
    country: str
    name: str
    keys: tuple[PublicKey, ...]


@dataclass(frozen=True)
class MachineKeys:
    """Public halves of the cloud and the vault."""

    transport_ca_spki_der: bytes
    site_root_spki_der: bytes
    keys: tuple[tuple[str, str, bytes], ...] = field(default=())  # (role, scheme, DER SubjectPublicKeyInfo)

    @classmethod
    def parse(cls, cloud: Mapping[str, object], vault: Mapping[str, object]) -> MachineKeys:
        """From the two public.json. Raises Usage with what is missing."""
        keys = [each for each in _listed(cloud.get("keys")) if isinstance(each, Mapping)]
        found = tuple((str(each.get("role")), str(each.get("scheme")), _hex(each, "spki_der")) for each in keys)
        return cls(_hex(cloud, "transport_ca_spki_der"), _hex(vault, "site_root_spki_der"), found)


def draft_root(
    mesh_name: str,
    people: Sequence[DraftPerson],
    roles: Sequence[DraftRole],
    sites: Sequence[DraftSite],
    machines: MachineKeys,
    *,
    now: int,
    lifetime_seconds: int = LIFETIME_SECONDS,
) -> Envelope:
    """The unsigned root. Raises Usage for a person nobody named, Refused for a root the contract does not allow."""
    keys = {each.key_id: each for each in _keys(people, sites, machines)}
    root = TrustRoot(
        mesh_name=mesh_name,
        version=1,
        issued_at=now,
        expires_at=now + lifetime_seconds,
        persons=[RootPerson(person_id=each.person_id, name=each.name) for each in people],
        keys=[keys[name] for name in sorted(keys)],
        roles=[*_roles_of_people(people, roles), *_roles_of_machines(machines), *_role_of_sites(sites)],
        sites=[_site(each) for each in sites],
        transport_ca_spki_der=machines.transport_ca_spki_der,
        site_root_spki_der=machines.site_root_spki_der,
    )
    root.roles.sort(key=lambda rule: rule.role)
    return make_envelope(payload.TRUST_ROOT, root.SerializeToString(deterministic=True))


def sign_root(envelope: Envelope, key: ApproverKey) -> Envelope:
    """The root with one signature more. Raises Refused where the key has signed already."""
    return add_signature(envelope, sign_with(payload.TRUST_ROOT, envelope.payload, key))


def fingerprint(envelope: Envelope) -> bytes:
    """32 bytes: what everybody pins."""
    return digest(envelope.payload)


def missing_signatures(envelope: Envelope) -> int:
    """How many persons of role ROOT must still sign; 0 when the root is ready."""
    root = payload.parse_closed(payload.TRUST_ROOT, envelope.payload)
    rule = next(each for each in root.roles if each.role == RootRole.ROOT_ROLE_ROOT)
    signed = {each.key_id for each in envelope.signatures} & set(rule.key_ids)
    persons = {each.person_id for each in root.keys if each.key_id in signed}
    return max(0, rule.threshold - len(persons))


def _keys(people: Sequence[DraftPerson], sites: Sequence[DraftSite], machines: MachineKeys) -> Iterable[RootKey]:
    for person in people:
        yield _root_key(person.key.spki_der, SigScheme.SIG_SCHEME_P256, person.person_id)
    for site in sites:
        for each in site.keys:
            yield _root_key(each.spki_der, SigScheme.SIG_SCHEME_P256)
    for _, scheme, spki_der in machines.keys:
        yield _root_key(spki_der, _scheme(scheme))


def _root_key(spki_der: bytes, scheme: SigScheme.ValueType, person_id: str = "") -> RootKey:
    return RootKey(key_id=key_id(spki_der), spki_der=spki_der, scheme=scheme, person_id=person_id)


def _roles_of_people(people: Sequence[DraftPerson], roles: Sequence[DraftRole]) -> Iterable[RootRoleRule]:
    keys: dict[str, list[str]] = defaultdict(list)
    for person in people:
        keys[person.person_id].append(person.key.key_id)
    for each in roles:
        if unknown := set(each.person_ids) - set(keys):
            raise Usage(f"role {each.role} names {', '.join(sorted(unknown))}, who is no --person")
        held = sorted(name for person_id in each.person_ids for name in keys[person_id])
        yield RootRoleRule(role=_role(each.role), key_ids=held, threshold=each.threshold)


def _roles_of_machines(machines: MachineKeys) -> Iterable[RootRoleRule]:
    held: dict[RootRole.ValueType, list[str]] = defaultdict(list)
    for role, _, spki_der in machines.keys:
        held[_role(role)].append(key_id(spki_der))
    for number, names in held.items():
        yield RootRoleRule(role=number, key_ids=sorted(names), threshold=1)


def _role_of_sites(sites: Sequence[DraftSite]) -> Iterable[RootRoleRule]:
    names = sorted({each.key_id for site in sites for each in site.keys})
    if names:
        yield RootRoleRule(role=RootRole.ROOT_ROLE_SITE, key_ids=names, threshold=1)


def _site(site: DraftSite) -> RootSite:
    names = sorted(each.key_id for each in site.keys)
    return RootSite(factory_id=site.factory_id, site_key_ids=names, country=site.country, name=site.name)


def _role(text: str) -> RootRole.ValueType:
    try:
        return RootRole.Value(f"ROOT_ROLE_{text.upper()}")
    except ValueError:
        raise Usage(f"{text!r} is no role of a trust root") from None


def _scheme(text: str) -> SigScheme.ValueType:
    try:
        return SigScheme.Value(f"SIG_SCHEME_{text.upper()}")
    except ValueError:
        raise Usage(f"{text!r} is no signature scheme") from None


def _hex(found: Mapping[str, object], name: str) -> bytes:
    try:
        return bytes.fromhex(str(found[name]))
    except (KeyError, ValueError):
        raise Usage(f"public.json holds no {name} in hex") from None


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
