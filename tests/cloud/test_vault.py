"""The vault believes nobody: every act stands on what people signed, checked from its own pin."""

import sqlite3
import time
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud.vault.issuing import Issuer
from cloud.vault.ledger import Ledger
from cloud.vault.licence import Pin, judge_pai, judge_roots, judge_site
from cloud.vault_client import VAULT
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST
from obis.mesh.transport import TransportKey
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import make_envelope
from obis.v1 import enrolment_pb2 as enrolment
from obis.v1 import products_pb2 as products
from obis.v1 import vault_pb2 as vault
from obis.v1.enrolment_objects_pb2 import EnrolmentApproval
from obis.v1.envelope_pb2 import Envelope
from obis.v1.grant_pb2 import Grant
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Assurance
from obis.v1.trust_root_pb2 import TrustRoot
from obis.v1.vault_pb2_grpc import VaultStub
from tests.cloud.refusals import refused
from tests.cloud.small_mesh import Edge, Key, whole


@dataclass
class Case:
    """What a request to the vault is made of; `signed` forges an object with any people's keys."""

    mesh: object
    edge: Edge
    root: Envelope
    rule: Envelope
    grant: Envelope
    approval: Envelope
    request: Envelope

    def judged(self, now=None):
        pin = Pin(self.mesh.fingerprint, 1)
        parts = (self.rule, self.grant, self.approval, self.request)
        return judge_pai(pin, [self.root], *parts, now=now or int(time.time()))

    def signed(self, kind, envelope, *names, **changes):
        message = payload.parse_closed(kind, envelope.payload)
        for name, value in changes.items():
            setattr(message, name, value)
        return make_envelope(kind, whole(message), [self.mesh.people[name] for name in names or ("bob", "cat")])

    def with_grant(self, *names, **changes):
        """The same order under a changed Grant, with a request that fits it."""
        grant = self.signed(payload.GRANT, self.grant, *names, **changes)
        message = Grant.FromString(grant.payload)
        request = self.edge.pai_request(message.product_id, sha256(grant.payload).digest())
        return replace(self, grant=grant, request=request)

    def with_rule(self, **changes):
        rule = self.signed(payload.PRODUCT_RULE, self.rule, **changes)
        return replace(self, rule=rule).with_grant(rule_digest=sha256(rule.payload).digest())


@pytest.fixture
async def case(mesh, ready):
    asked = products.GetProductRequest(product_id=ready.product_id)
    rule = (await mesh.callers["ann"].products.GetProduct(asked)).product.rule
    order = await mesh.queued(
        ready.edge, "grant", lambda each: sha256(each.grant.grant.payload).digest() == ready.grant_digest
    )
    request = ready.edge.pai_request(ready.product_id, ready.grant_digest)
    return Case(mesh, ready.edge, mesh.root, rule, order.grant.grant, ready.edge.result.approval, request)


def refuses(reason):
    return pytest.raises(Refused, match=f"^{Reason.Name(reason).removeprefix('REASON_')}:")


async def test_what_people_signed_is_a_licence(case):
    licence = case.judged()

    assert licence.key.spki_der == case.edge.pai_keys[licence.request.product_id].spki


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("bob",), Reason.REASON_THRESHOLD_NOT_MET),
        (("ann", "bob"), Reason.REASON_PROPOSER_SIGNED),
    ],
)
async def test_a_grant_without_its_quorum_licenses_nothing(case, names, reason):
    with refuses(reason):
        case.with_grant(*names).judged()


async def test_a_grant_signed_by_the_clouds_keys_licenses_nothing(case):
    """What a thief of the whole cloud can sign."""
    keys = case.mesh.cloud.service.keys
    forged = make_envelope(payload.GRANT, case.grant.payload, [keys.online, keys.beacon])

    with refuses(Reason.REASON_ROLE_NOT_HELD):
        replace(case, grant=forged).judged()


async def test_an_approval_without_its_quorum_licenses_nothing(case):
    approval = case.signed(payload.ENROLMENT_APPROVAL, case.approval, "bob")

    with refuses(Reason.REASON_THRESHOLD_NOT_MET):
        replace(case, approval=approval).judged()


async def test_a_request_by_another_key_than_the_approved_identity_is_refused(case):
    message = payload.parse_closed(payload.PAI_REQUEST, case.request.payload)
    forged = case.edge.pai_request(message.product_id, message.grant_digest, signer=Key())

    with refuses(Reason.REASON_KEY_UNKNOWN):
        replace(case, request=forged).judged()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"edgehsm_id": "edge-other"}, Reason.REASON_WRONG_EDGEHSM),
        ({"epoch": 2}, Reason.REASON_WRONG_EPOCH),
        ({"product_id": b"p" * 16}, Reason.REASON_WRONG_PRODUCT),
        ({"grant_digest": b"g" * 32}, Reason.REASON_DIGEST_MISMATCH),
        ({"pai_csr_der": b"\x30\x00"}, Reason.REASON_CSR_MALFORMED),
    ],
)
async def test_a_request_for_anything_else_is_refused(case, change, reason):
    message = payload.parse_closed(payload.PAI_REQUEST, case.request.payload)
    request = case.edge.pai_request(
        **{"product_id": message.product_id, "grant_digest": message.grant_digest, **change}
    )

    with refuses(reason):
        replace(case, request=request).judged()


async def test_a_csr_whose_signature_is_another_keys_is_refused(case):
    message = payload.parse_closed(payload.PAI_REQUEST, case.request.payload)
    csr = message.pai_csr_der
    swapped = csr.replace(case.edge.pai_keys[message.product_id].point, Key().point)
    request = case.edge.pai_request(message.product_id, message.grant_digest, pai_csr_der=swapped)

    with refuses(Reason.REASON_CSR_SIGNATURE_INVALID):
        replace(case, request=request).judged()


async def test_an_edgehsm_the_grant_gives_no_share_gets_no_pai(case):
    """Approved by people for its site, and not named in the Grant."""
    stranger = Edge("edge-th")
    approval = EnrolmentApproval.FromString(case.approval.payload)
    approval.edgehsm_id = "edge-zz"
    approval.keys.CopyFrom(stranger.keys)
    envelope = make_envelope(payload.ENROLMENT_APPROVAL, whole(approval), [case.mesh.people[n] for n in ("bob", "cat")])

    with refuses(Reason.REASON_WRONG_EDGEHSM):
        replace(case, approval=envelope).judged()


async def test_an_element_people_approved_for_less_gets_no_pai(case):
    with refuses(Reason.REASON_ASSURANCE_TOO_LOW):
        case.with_grant(required_assurance=Assurance.ASSURANCE_TOKEN_HARDWARE).judged()


async def test_a_grant_that_has_ended_makes_no_new_pai(case):
    ends_at = Grant.FromString(case.grant.payload).window.ends_at

    with refuses(Reason.REASON_WINDOW_CLOSED):
        case.judged(now=ends_at)


async def test_a_grant_beyond_the_lifetime_is_refused_here_too(case):
    with refuses(Reason.REASON_LIFETIME_QUANTITY_EXCEEDED):
        case.with_grant(granted_before=10**9).judged()


async def test_a_rule_with_another_paa_is_refused_when_it_comes_to_signing(case, tmp_path):
    licence = case.with_rule(paa_cert_digest=b"p" * 32).judged()
    ledger = Ledger(tmp_path / "vault.db")
    issuer = Issuer(case.mesh.vault_servicer._keys, ledger)

    with refuses(Reason.REASON_DIGEST_MISMATCH):
        issuer.certify_pai(licence, now=int(time.time()))
    assert ledger.acts(1, -1) == []
    ledger.close()


async def test_a_trust_root_of_another_mesh_is_refused(case):
    root = TrustRoot.FromString(case.root.payload)
    root.mesh_name = "Another"
    forged = make_envelope(payload.TRUST_ROOT, whole(root), [case.mesh.people[n] for n in ("ann", "bob")])

    with refuses(Reason.REASON_TRUST_ROOT_INVALID):
        replace(case, root=forged).judged()


async def test_an_older_trust_root_than_one_seen_is_refused(case):
    with refuses(Reason.REASON_TRUST_ROOT_STALE):
        judge_roots(Pin(case.mesh.fingerprint, 2), [case.root])


async def test_an_expired_trust_root_licenses_nothing(case):
    expires_at = TrustRoot.FromString(case.root.payload).expires_at

    with refuses(Reason.REASON_EXPIRED):
        case.judged(now=expires_at)


async def test_a_site_ca_is_certified_only_for_the_key_people_approved(case):
    pin = Pin(case.mesh.fingerprint, 1)

    with refuses(Reason.REASON_DIGEST_MISMATCH):
        judge_site(pin, [case.root], case.approval, Key().csr(), now=int(time.time()))


# ---- acts


@pytest.fixture
async def stub(mesh):
    """The vault as the cloud reaches it."""
    async with open_channel(f"127.0.0.1:{mesh.vault_port}", VAULT, mesh.cloud.credentials) as channel:
        yield VaultStub(channel)


def pai_request(case):
    return vault.CertifyPaiRequest(
        trust_roots=[case.root], rule=case.rule, grant=case.grant, approval=case.approval, pai_request=case.request
    )


async def test_the_same_again_is_the_same_certificate_and_no_new_act(case, stub):
    before = (await stub.ListActs(vault.ListActsRequest(from_sequence=1))).acts

    first = await stub.CertifyPai(pai_request(case))
    second = await stub.CertifyPai(pai_request(case))

    assert first == second
    assert (await stub.ListActs(vault.ListActsRequest(from_sequence=1))).acts == before


async def test_another_key_for_the_same_subject_is_refused(case, stub):
    message = payload.parse_closed(payload.PAI_REQUEST, case.request.payload)
    other = case.edge.pai_request(message.product_id, message.grant_digest, pai_key=Key())

    with refused(Reason.REASON_ALREADY_EXISTS):
        await stub.CertifyPai(pai_request(replace(case, request=other)))


async def test_every_act_is_signed_chained_and_names_what_it_made(case, stub):
    described = await stub.Describe(vault.DescribeRequest())
    made = await stub.CertifyPai(pai_request(case))
    acts = list((await stub.ListActs(vault.ListActsRequest(from_sequence=1))).acts)

    assert case.mesh.ledger.check(_spki(described.site_root_cert_der)) == len(acts)
    said = payload.parse_closed(payload.VAULT_ACT, made.act.payload)
    assert said.result_digest == sha256(made.pai_cert_der).digest()
    assert said.grant_digest == sha256(case.grant.payload).digest()
    assert said.approval_digest == sha256(case.approval.payload).digest()
    assert made.act in acts


async def test_only_the_cloud_may_ask(mesh, case):
    key = TransportKey.generate()
    answer = await mesh.callers["ann"].enrolment.Renew(enrolment.RenewRequest(csr_der=key.request(VAULT)))
    ann = Credentials(Authorities({CLOUD_HOST: [mesh.authority]}), key.certified(answer.certificate_chain_der))
    async with open_channel(f"127.0.0.1:{mesh.vault_port}", VAULT, ann) as channel:
        with refused(Reason.REASON_ROLE_NOT_ALLOWED):
            await VaultStub(channel).CertifyPai(pai_request(case))


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM acts WHERE sequence = 1",
        "UPDATE acts SET envelope = (SELECT envelope FROM acts WHERE sequence = 2) WHERE sequence = 1",
        "UPDATE acts SET envelope = substr(envelope, 1, length(envelope) - 1) || x'00' WHERE sequence = 2",
    ],
)
async def test_a_broken_chain_of_acts_refuses_the_start(case, tmp_path, harm):
    copy = tmp_path / "vault.db"
    with sqlite3.connect(copy) as target, sqlite3.connect(case.mesh.vault_config.ledger) as source:
        source.backup(target)
        source_acts = target.execute("SELECT count(*) FROM acts").fetchone()[0]
    assert source_acts >= 2
    ledger = Ledger(copy)
    spki = case.mesh.vault_servicer._keys.site_root.spki_der
    assert ledger.check(spki) == source_acts
    ledger._db.execute("PRAGMA foreign_keys=OFF")
    ledger._db.execute(harm)

    with pytest.raises(Refused):
        ledger.check(spki)
    ledger.close()


async def test_an_act_that_fails_leaves_neither_certificate_nor_act(case, tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "vault.db")
    issuer = Issuer(case.mesh.vault_servicer._keys, ledger)
    monkeypatch.setattr(issuer, "_signed", lambda *_: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        issuer.certify_pai(case.judged(), now=int(time.time()))
    assert ledger.last_act() == (0, b"")
    ledger.close()


def _spki(certificate_der):
    key = x509.load_der_x509_certificate(certificate_der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
