"""M7: a product that is set up while a factory runs is made there without a visit, a restart or a command on site.

The OEM's people and the ODM's engineer work through the cloud; EdgeHSM makes the product's PAI key inside when the Grant
arrives, the vault certifies it from afar, the station gets its work order, and devices leave the line with DACs under
the new PAI. Nothing on the floor was started, stopped or told by hand.
"""

from cryptography import x509

from obis.trust.payload import AUTHORIZATION, PAI_REQUEST, parse_closed
from obis.v1.keys_pb2 import ListCertificatesRequest
from obis.v1.scope_pb2 import Operation
from tests.scenarios.mesh import HOME, PATIENCE


async def test_devices_of_a_new_product_without_a_visit(mesh, later):
    batch = await mesh.batch(later.goods, 3)
    made = await mesh.provision(batch, 2)

    assert [each["result"] for each in made] == ["PASS", "PASS"]
    assert {each["product"] for each in made} == {later.goods.product.name}
    assert later.after == later.before, "a process was started or ended"


async def test_its_pai_was_made_inside_and_certified_remotely(mesh, later):
    asked = ListCertificatesRequest(product_id=later.goods.product_id)
    (pai,) = (await mesh.crew.oem.keys.ListCertificates(asked, timeout=PATIENCE)).pais
    certificate = x509.load_der_x509_certificate(pai.pai_cert_der)
    request = parse_closed(PAI_REQUEST, pai.request.payload)

    assert (pai.edgehsm_id, pai.epoch) == (mesh.stage.plan.factory(HOME).edgehsm, 1)
    assert x509.load_der_x509_csr(request.pai_csr_der).public_key() == certificate.public_key()
    assert f"{later.goods.product.product_code:04X}" in certificate.subject.rfc4514_string()
    made = [each.product_keys.product_id for each in await mesh.leaves(HOME) if each.HasField("product_keys")]
    assert made.count(later.goods.product_id) == 1  # inside, once, and written down


async def test_what_its_grant_does_not_name_is_not_in_its_batches(mesh, later):
    batch = await mesh.batch(later.goods, 1)
    authorization = parse_closed(AUTHORIZATION, batch.authorization.payload)

    assert Operation.OPERATION_REOPEN_DEBUG not in {each.operation for each in authorization.operations}
    assert Operation.OPERATION_ISSUE_DAC in {each.operation for each in authorization.operations}
