"""The OEM's side of the story over real ports: people, site, product, version, Grant, PAI, batch."""

from hashlib import sha256

from cryptography import x509

from cloud.store.production import BatchRow
from obis.matter.lint import lint_pai
from obis.trust import payload
from obis.trust.authorization import check_authorization
from obis.trust.grant import check_grant
from obis.trust.package import hpke_info, open_with
from obis.trust.trust_root import walk
from obis.v1 import batches_pb2 as batches
from obis.v1 import keys_pb2 as keys
from obis.v1 import products_pb2 as products
from obis.v1.batches_pb2 import BatchState
from obis.v1.delivery_pb2 import DeliveryResult


async def test_a_batch_is_authorized_within_everything_people_signed(mesh, ready):
    view = walk([mesh.root], mesh.fingerprint)
    oda = mesh.callers["oda"]
    product = (await oda.products.GetProduct(products.GetProductRequest(product_id=ready.product_id))).product
    certificates = await oda.keys.ListCertificates(keys.ListCertificatesRequest(product_id=ready.product_id))

    answer = await oda.batches.CreateBatch(mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 10))

    delivery = await mesh.queued(ready.edge, "authorization")
    order = await mesh.queued(
        ready.edge, "grant", lambda each: sha256(each.grant.grant.payload).digest() == ready.grant_digest
    )
    rule = view.verify(product.rule, payload.PRODUCT_RULE)
    grant = view.verify(order.grant.grant, payload.GRANT)
    check_grant(rule, grant, [])
    authorization = view.verify(delivery.authorization.authorization, payload.AUTHORIZATION)
    check_authorization(grant, authorization)
    assert answer.batch.authorization == delivery.authorization.authorization
    assert authorization.message.pai_cert_digest == sha256(certificates.pais[0].pai_cert_der).digest()
    assert sha256(order.grant.paa_cert_der).digest() == rule.message.paa_cert_digest
    assert order.grant.version_manifest == ready.version.manifest


async def test_the_package_opens_only_for_its_edgehsm(mesh, ready):
    from obis.trust.package import SUITE

    oda = mesh.callers["oda"]
    await oda.batches.CreateBatch(mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 1))
    sealed = (await mesh.queued(ready.edge, "authorization")).authorization
    view = walk([mesh.root], mesh.fingerprint)

    opened = open_with(lambda cipher, info: SUITE.decrypt(cipher, ready.edge.hpke.private, info=info), sealed.package)

    package = view.verify(opened, payload.BATCH_PACKAGE)
    authorization = view.verify(sealed.authorization, payload.AUTHORIZATION).message
    assert package.digest == authorization.package_digest
    assert package.message.version_manifest == ready.version.manifest
    assert hpke_info("edge-th", authorization.auth_id) != hpke_info("edge-vn", authorization.auth_id)


async def test_the_pai_is_the_edgehsms_key_under_the_rules_paa(mesh, ready):
    certificates = await mesh.callers["ann"].keys.ListCertificates(
        keys.ListCertificatesRequest(product_id=ready.product_id)
    )

    pai = x509.load_der_x509_certificate(certificates.pais[0].pai_cert_der)

    assert lint_pai(certificates.pais[0].pai_cert_der) == []
    assert pai.public_key() == ready.edge.pai_keys[ready.product_id].private.public_key()
    pai.verify_directly_issued_by(x509.load_der_x509_certificate(certificates.paa_cert_der))


async def test_the_site_ca_chains_to_the_site_root_and_names_one_host(mesh, edge):
    site_root = x509.load_der_x509_certificate(edge.result.site_root_cert_der)
    site_ca = x509.load_der_x509_certificate(edge.result.site_ca_cert_der)

    site_ca.verify_directly_issued_by(site_root)
    constraints = site_ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [each.value for each in constraints.value.permitted_subtrees] == ["th-01.site.obis", "th-01.site.obis"]
    assert site_ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


async def test_the_same_request_id_is_the_same_batch(mesh, ready):
    oda = mesh.callers["oda"]
    request = mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 2)

    first = await oda.batches.CreateBatch(request)
    second = await oda.batches.CreateBatch(request)

    assert first.batch == second.batch


async def test_a_batch_follows_what_its_edgehsm_answers(mesh, ready):
    from cloud import deliveries

    oda = mesh.callers["oda"]
    made = await oda.batches.CreateBatch(mesh.batch_request(ready.version.version_id, ready.edge, "th-01", 2))
    watch = oda.batches.WatchBatch(batches.WatchBatchRequest(batch_id=made.batch.batch_id))
    states = [(await watch.read()).batch.state]

    def answer(session, *, accepted, reason):
        row = session.get(BatchRow, made.batch.batch_id)
        result = DeliveryResult(
            number=row.delivery_number, edgehsm_id="edge-th", epoch=1, accepted=accepted, reason=reason
        )
        deliveries.record_result(session, result, now=1)

    store = mesh.cloud.service.store
    await store.write(lambda session: answer(session, accepted=False, reason="SEQUENCE_GAP"))
    refused = (await watch.read()).batch
    await store.write(lambda session: answer(session, accepted=True, reason=""))
    await store.write(lambda session: answer(session, accepted=False, reason="REPLAYED"))
    states += [refused.state, (await watch.read()).batch.state]
    watch.cancel()

    assert refused.refusal == "SEQUENCE_GAP"
    assert states == [
        BatchState.BATCH_STATE_AUTHORIZED,
        BatchState.BATCH_STATE_REFUSED,
        BatchState.BATCH_STATE_DELIVERED,
    ]
