"""Bad objects: a signed object with one field that this version does not know is refused wherever it is taken in.

The field is signed along by everybody who should sign: only that it is unknown is wrong. Each object is also taken
without it, so that the field was the reason. Signed bytes are closed: what a room cannot read, it must not act on.
"""

import os
import time
from hashlib import sha256

import pytest

from loadtest.demo import goods as g
from obis.cli.connection import answered, connect_enrolment
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import Identity, Role
from obis.mesh.transport import TransportKey
from obis.refusal import Refused
from obis.trust import payload as types
from obis.trust.envelope import digest, sign_with
from obis.trust.package import seal
from obis.trust.payload import parse_closed
from obis.v1.authorization_pb2 import Authorization
from obis.v1.delivery_pb2 import Delivery
from obis.v1.enrolment_objects_pb2 import EnrolTicket, PersonRequest, TicketSubject
from obis.v1.enrolment_pb2 import (
    EnrolFactoryRequest,
    EnrolPersonRequest,
    GetEdgeHsmEnrolmentRequest,
    GetTrustRequest,
)
from obis.v1.envelope_pb2 import Envelope
from obis.v1.grant_pb2 import Grant
from obis.v1.keys_pb2 import ListCertificatesRequest
from obis.v1.package_pb2 import BatchPackage
from obis.v1.provisioning_pb2 import CloseDebug, ReopenDebugRequest
from obis.v1.revocation_pb2 import Beacon, RevocationList
from obis.v1.vault_pb2 import CertifyPaiRequest
from obis.v1.vault_pb2_grpc import VaultStub
from tests.scenarios.devices import Device, reason
from tests.scenarios.doors import Holdings
from tests.scenarios.identities import Forge, somebody
from tests.scenarios.mesh import HOME, PATIENCE
from tests.scenarios.test_m04_tampering import carried, handed

SOC = "generic-thread"
UNKNOWN = b"\xc0\x3e\x01"  # field 1000, the number 1


@pytest.fixture(scope="module")
def forge(mesh):
    return Forge.of(mesh)


def signed(payload_type, octets: bytes, *signers) -> Envelope:
    """As `make_envelope`, which would not sign such a thing."""
    signatures = sorted((sign_with(payload_type, octets, each) for each in signers), key=lambda each: each.key_id)
    return Envelope(payload=octets, payload_type=payload_type.text, signatures=signatures)


def exact(message) -> bytes:
    return message.SerializeToString(deterministic=True)


def quorum(mesh):
    return [mesh.keys.people[each.id] for each in mesh.stage.plan.signers]


async def words(mesh, ask, octets: bytes) -> list[str]:
    """What comes to the object with the unknown field, and to the same without it."""
    before, said = await Holdings.of(mesh), []
    for each in (octets + UNKNOWN, octets):
        try:
            with answered("the mesh"):
                said.append(await ask(each) or "")
        except Refused as refused:
            said.append(refused.word)
        if each != octets:
            assert await Holdings.of(mesh) == before
    return said


async def test_at_the_cloud_a_person_s_request(mesh):
    key = TransportKey.generate()
    request = PersonRequest(
        person_id="boris", spki_digest=sha256(key.public_der).digest(), requested_at=int(time.time())
    )

    async def ask(octets):
        asked = EnrolPersonRequest(
            csr_der=key.request(Identity(Role.PERSON, "boris")),
            person_request=signed(types.PERSON_REQUEST, octets, mesh.keys.people["boris"]),
        )
        async with connect_enrolment(mesh.facts) as enrolment:
            await enrolment.EnrolPerson(asked, timeout=PATIENCE)

    assert await words(mesh, ask, exact(request)) == ["UNKNOWN_FIELD", ""]


async def test_at_the_cloud_a_factory_s_ticket(mesh):
    key, now = TransportKey.generate(), int(time.time())
    ticket = EnrolTicket(
        ticket_id=os.urandom(16),
        subject=TicketSubject.TICKET_SUBJECT_FACTORY,
        factory_id=HOME,
        expires_at=now + 600,
        proposer=mesh.stage.plan.proposer.id,
        proposed_at=now,
    )

    async def ask(octets):
        asked = EnrolFactoryRequest(
            ticket=signed(types.ENROL_TICKET, octets, *quorum(mesh)), csr_der=key.request(Identity(Role.FACTORY, HOME))
        )
        async with connect_enrolment(mesh.facts) as enrolment:
            await enrolment.EnrolFactory(asked, timeout=PATIENCE)

    assert await words(mesh, ask, exact(ticket)) == ["UNKNOWN_FIELD", ""]


async def test_at_the_factory_a_station_s_ticket(mesh):
    key, ticket = mesh.station_ticket(HOME, "unknown-field")

    async def ask(octets):
        await mesh.enrol_station(HOME, key, signed(types.STATION_TICKET, octets, mesh.keys.sites[HOME]))

    assert await words(mesh, ask, ticket.payload) == ["UNKNOWN_FIELD", ""]


async def test_at_edgehsm_every_object_a_courier_brings(mesh, forge):
    place = {"number": 1, "edgehsm_id": mesh.couriers[HOME].factory.edgehsm, "epoch": 1}
    grant = (await carried(mesh, lambda each: each.delivery.HasField("grant"))).delivery
    now = int(time.time())
    notices = {
        "beacon": (types.BEACON, Beacon(sequence=10**9, time=now), forge.keys.beacon),
        "revocation_list": (types.REVOCATION_LIST, RevocationList(sequence=1, issued_at=now), forge.keys.revocation),
    }
    came = {}
    for name, (payload_type, message, signer) in notices.items():
        delivery = Delivery(**place, **{name: signed(payload_type, exact(message) + UNKNOWN, signer)})
        came[name] = (await handed(mesh, delivery)).reason
    fresh = Grant.FromString(grant.grant.grant.payload)
    fresh.grant_id = os.urandom(16)  # one that is not held, so that it is looked into
    for name, octets in (("rule", exact(fresh)), ("grant", exact(fresh) + UNKNOWN)):
        delivery = Delivery.FromString(grant.SerializeToString())
        delivery.grant.grant.CopyFrom(signed(types.GRANT, octets, *quorum(mesh)))
        if name == "rule":
            rule = signed(types.PRODUCT_RULE, delivery.grant.rule.payload + UNKNOWN, *quorum(mesh))
            delivery.grant.rule.CopyFrom(rule)
        came[name] = (await handed(mesh, delivery)).reason
    root = (await _trust(mesh))[-1].payload
    delivery = Delivery(**place, trust_root=signed(types.TRUST_ROOT, root + UNKNOWN, *quorum(mesh)))
    came["trust root"] = (await handed(mesh, delivery)).reason

    assert came == dict.fromkeys(came, "UNKNOWN_FIELD")
    assert (await handed(mesh, grant)).reason == "ALREADY_ADMITTED"


async def test_at_edgehsm_an_authorization_and_what_is_sealed_with_it(mesh, forge):
    """The genuine Factory Service stands still; the cloud's own key signs; the package is sealed to this EdgeHSM."""
    with mesh.frozen(f"{HOME}-service"):
        batch = await g.create_batch(mesh.stage, mesh.crew, mesh.bulb, 1)
        genuine = await mesh.couriers[HOME].packages(batch.auth_id)
        outside = Delivery.FromString(genuine.SerializeToString())
        envelope = outside.authorization.authorization
        envelope.CopyFrom(signed(types.AUTHORIZATION, envelope.payload + UNKNOWN, forge.keys.online))
        inside = await _repacked(mesh, forge, genuine, UNKNOWN)
        came = [(await handed(mesh, each)).reason for each in (outside, inside, genuine)]

    assert came == ["UNKNOWN_FIELD", "UNKNOWN_FIELD", ""]
    assert reason(await mesh.step(HOME, Device(SOC).issue(batch.auth_id))) == ""


async def _repacked(mesh, forge, delivery: Delivery, more: bytes) -> Delivery:
    """The same Authorization for a package that was made again, with `more` signed inside."""
    made = Delivery.FromString(delivery.SerializeToString())
    authorization = Authorization.FromString(made.authorization.authorization.payload)
    version = await mesh.manifest(mesh.bulb)
    inside = BatchPackage(
        auth_id=authorization.auth_id,
        edgehsm_id=authorization.edgehsm_id,
        epoch=1,
        version_manifest=exact(version),
        pai_cert_der=(await _certificates(mesh)).pai_cert_der,
    )
    package = signed(types.BATCH_PACKAGE, exact(inside) + more, forge.keys.online)
    authorization.package_digest = digest(package.payload)
    made.authorization.authorization.CopyFrom(signed(types.AUTHORIZATION, exact(authorization), forge.keys.online))
    keys = parse_closed(types.ENROLMENT_APPROVAL, (await _approval(mesh)).payload).keys
    sealed = seal(keys.hpke_spki_der, exact(package), authorization.edgehsm_id, authorization.auth_id)
    made.authorization.package.CopyFrom(sealed)
    return made


async def test_at_edgehsm_what_a_chip_says(mesh):
    batch, device = await mesh.batch(mesh.bulb, 1), Device(SOC)
    auth_id, issued = batch.auth_id, (await mesh.step(HOME, device.issue(batch.auth_id))).issued
    opened = (await mesh.debug(HOME, ReopenDebugRequest(open=device.open_debug(auth_id)))).opened

    def report(nonce, **said):
        return exact(device.report_message(auth_id, nonce, **said))

    granted = (await mesh.manifest(mesh.bulb)).firmware_digest

    async def close(octets):
        envelope = signed(types.DEVICE_REPORT, octets, device.key)
        closing = CloseDebug(session_id=opened.session_id, device=device.id, report=envelope)
        return reason(await mesh.debug(HOME, ReopenDebugRequest(close=closing)))

    async def end(octets):
        envelope = signed(types.DEVICE_REPORT, octets, device.key)
        return reason(await mesh.step(HOME, device.outcome(auth_id, passed=True, report=envelope)))

    async def challenge(octets):
        asked = device.open_debug(auth_id)
        asked.challenge = octets
        return reason(await mesh.debug(HOME, ReopenDebugRequest(open=asked)))

    assert await words(mesh, close, report(opened.session_id)) == ["UNKNOWN_FIELD", ""]
    assert await words(mesh, end, report(issued.boundary_nonce, firmware_digest=granted)) == ["UNKNOWN_FIELD", ""]
    assert await words(mesh, challenge, device.challenge()) == ["UNKNOWN_FIELD", ""]


async def test_at_the_vault_everything_that_licenses_a_pai(mesh, forge):
    grant = (await carried(mesh, lambda each: each.delivery.HasField("grant"))).delivery.grant
    pai = await _certificates(mesh)
    asked = CertifyPaiRequest(
        trust_roots=await _trust(mesh),
        rule=grant.rule,
        grant=grant.grant,
        approval=await _approval(mesh),
        pai_request=pai.request,
    )
    signers = {
        "rule": (types.PRODUCT_RULE, quorum(mesh)),
        "grant": (types.GRANT, quorum(mesh)),
        "approval": (types.ENROLMENT_APPROVAL, quorum(mesh)),
        "pai_request": (types.PAI_REQUEST, [forge.edgehsm_identity(HOME)]),
    }
    own = forge.by_right_ca(somebody(Role.CLOUD, HOME))
    vault, believed = Identity(Role.VAULT, "main"), Credentials(mesh.cloud_authorities, own)
    before, came = await Holdings.of(mesh), {}
    async with open_channel(mesh.address("vault"), vault, believed) as channel:
        stub = VaultStub(channel)
        for name, (payload_type, keys) in signers.items():
            changed = CertifyPaiRequest.FromString(asked.SerializeToString())
            envelope = getattr(changed, name)
            envelope.CopyFrom(signed(payload_type, envelope.payload + UNKNOWN, *keys))
            came[name] = await _word(stub.CertifyPai(changed, timeout=PATIENCE))
        same = await stub.CertifyPai(asked, timeout=PATIENCE)

    assert came == dict.fromkeys(signers, "UNKNOWN_FIELD")
    assert same.pai_cert_der == pai.pai_cert_der
    assert await Holdings.of(mesh) == before


async def _word(call) -> str:
    try:
        with answered("vault"):
            await call
    except Refused as refused:
        return refused.word
    return ""


async def _trust(mesh) -> list[Envelope]:
    async with connect_enrolment(mesh.facts) as enrolment:
        return list((await enrolment.GetTrust(GetTrustRequest(), timeout=PATIENCE)).trust_roots)


async def _approval(mesh) -> Envelope:
    wanted = GetEdgeHsmEnrolmentRequest(edgehsm_id=mesh.couriers[HOME].factory.edgehsm, epoch=1)
    async with connect_enrolment(mesh.facts) as enrolment:
        return (await enrolment.GetEdgeHsmEnrolment(wanted, timeout=PATIENCE)).approval


async def _certificates(mesh):
    asked = ListCertificatesRequest(product_id=mesh.bulb.product_id)
    (pai,) = (await mesh.crew.oem.keys.ListCertificates(asked, timeout=PATIENCE)).pais
    return pai
