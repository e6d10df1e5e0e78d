"""What outlives a restart, an absent vault and a new trust root."""

import time
from hashlib import sha256

import pytest

from cloud import beginning, deliveries
from cloud.store.production import PaiRow
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import make_envelope
from obis.trust.trust_root import walk
from obis.v1 import enrolment_pb2 as enrolment
from obis.v1.delivery_pb2 import DeliveryResult
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootKey, RootPerson, TrustRoot
from tests.cloud.conftest import Ready
from tests.cloud.refusals import refused
from tests.cloud.small_mesh import SECRET, Key, SmallMesh, whole


@pytest.fixture(scope="module")
async def own(tmp_path_factory):
    """A mesh of this file alone: it is stopped, started and given a new root."""
    mesh = SmallMesh(tmp_path_factory.mktemp("own"))
    await mesh.begin()
    await mesh.login("ann")
    await mesh.join("odm-a", "oda", ["th-01"])
    mesh.edge = await mesh.enrol_edge("th-01", "edge-th")
    yield mesh
    await mesh.end()


@pytest.fixture(scope="module")
async def granted(own):
    """A Grant whose PAI nobody has asked for yet."""
    product_id = await own.product()
    version = await own.version(product_id)
    signed = await own.grant(version.version_id, [("th-01", "edge-th", 1, 100)])
    return Ready(product_id, version, own.edge, "th-01", sha256(signed.envelope.payload).digest())


async def ask_for_pai(mesh, granted):
    result = DeliveryResult(number=1, edgehsm_id="edge-th", epoch=1, accepted=True)
    result.pai_request.CopyFrom(granted.edge.pai_request(granted.product_id, granted.grant_digest))
    await mesh.cloud.service.store.write(lambda session: deliveries.record_result(session, result, now=1))


async def test_a_pai_asked_for_while_the_vault_is_away_comes_when_it_is_back(own, granted):
    """The cloud goes down meanwhile, too: the request is a row, and the row is the job."""
    request = own.batch_request(granted.version.version_id, granted.edge, "th-01", 5)
    await own.vault.stop()
    await ask_for_pai(own, granted)
    with refused(Reason.REASON_PAI_NOT_READY):
        await own.callers["oda"].batches.CreateBatch(request)

    await own.end()
    own.vault_port = await own.start_vault()
    own.config = own.configured()
    await own.start_cloud()
    await own.login("ann")
    await own.accept_again("oda")
    made = await own.until(lambda: own.callers["oda"].batches.CreateBatch(request), seconds=15)

    assert made.batch.quantity == 5
    with own.cloud.service.store.reading() as session:
        assert session.get(PaiRow, ("edge-th", 1, granted.product_id)).cert_der


def second_root(mesh, *signers, **changes):
    """Version 2: eve comes in, with GRANT and the rest of what people hold."""
    mesh.people.setdefault("eve", Key())
    eve = mesh.people["eve"]
    root = TrustRoot.FromString(mesh.root.payload)
    root.version = 2
    root.persons.append(RootPerson(person_id="eve", name="Eve"))
    root.keys.append(RootKey(key_id=eve.key_id, spki_der=eve.spki, scheme=eve.scheme, person_id="eve"))
    for rule in root.roles[:3]:
        rule.key_ids.append(eve.key_id)
    for name, value in changes.items():
        setattr(root, name, value)
    return make_envelope(payload.TRUST_ROOT, whole(root), [mesh.people[name] for name in signers])


@pytest.mark.parametrize(
    ("signers", "changes", "reason"),
    [
        (("ann", "eve"), {}, "THRESHOLD_NOT_MET"),
        (("ann", "bob"), {"version": 3}, "TRUST_ROOT_STALE"),
    ],
)
async def test_a_next_root_needs_the_people_of_the_one_before(own, signers, changes, reason):
    with pytest.raises(Refused, match=reason):
        beginning.init_root(own.config, SECRET, whole(second_root(own, *signers, **changes)), now=int(time.time()))


async def test_a_new_root_brings_its_people_and_reaches_every_edgehsm(own, granted):
    root = second_root(own, "ann", "bob")
    with refused(Reason.REASON_KEY_UNKNOWN):
        await own.login("eve")

    beginning.init_root(own.config, SECRET, whole(root), now=int(time.time()))

    await own.login("eve")
    trust = await own.enrolment.GetTrust(enrolment.GetTrustRequest())
    sent = await own.queued(own.edge, "trust_root")
    assert walk(list(trust.trust_roots), own.fingerprint).version == 2
    assert sent.trust_root == root
    version = await own.version(granted.product_id, label="2.0")
    signed = await own.grant(version.version_id, [("th-01", "edge-th", 1, 100)], signers=("bob", "eve"))
    assert sorted(signed.signed_by) == ["bob", "eve"]
