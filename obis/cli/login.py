"""A person's transport certificate: for an invitation token, or for a request signed with a trust root key.

The transport key is made here and sealed under the person's passphrase before anything is asked; the certificate is
kept beside it only once it came.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from obis.cli.approver_key import ApproverKey
from obis.cli.connection import connect_enrolment
from obis.cli.profile import Person, Profile
from obis.mesh.identity import Identity, Role
from obis.mesh.transport import TransportKey, keep_chain
from obis.trust import payload
from obis.trust.envelope import make_envelope
from obis.v1.enrolment_objects_pb2 import PersonRequest
from obis.v1.enrolment_pb2 import EnrolPersonRequest


async def login_by_token(profile: Profile, person_id: str, token: str, passphrase: bytes) -> Person:
    """For somebody who was invited. Raises Refused, for example TICKET_USED."""
    return await _login(
        profile, person_id, passphrase, lambda _key, csr: EnrolPersonRequest(csr_der=csr, invitation_token=token)
    )


async def login_by_key(
    profile: Profile, person_id: str, approver: ApproverKey, passphrase: bytes, *, now: int
) -> Person:
    """For a person of the trust root, by one of their own keys there."""

    def proven(key: TransportKey, csr_der: bytes) -> EnrolPersonRequest:
        digest = sha256(key.public_der).digest()
        request = PersonRequest(person_id=person_id, spki_digest=digest, requested_at=now)
        envelope = make_envelope(payload.PERSON_REQUEST, request.SerializeToString(deterministic=True), [approver])
        return EnrolPersonRequest(csr_der=csr_der, person_request=envelope)

    return await _login(profile, person_id, passphrase, proven)


async def _login(
    profile: Profile,
    person_id: str,
    passphrase: bytes,
    proof: Callable[[TransportKey, bytes], EnrolPersonRequest],
) -> Person:
    mesh = profile.mesh()
    profile.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = TransportKey.generate()
    request = proof(key, key.request(Identity(Role.PERSON, person_id)))
    async with connect_enrolment(mesh) as enrolment:
        answer = await enrolment.EnrolPerson(request, timeout=30)
    key.certified(answer.certificate_chain_der)  # another key's certificate is kept by nobody
    key.seal(profile.key_path, passphrase)
    keep_chain(profile.chain_path, answer.certificate_chain_der)
    person = Person(answer.person_id, answer.organisation_id)
    profile.keep_person(person)
    return person
