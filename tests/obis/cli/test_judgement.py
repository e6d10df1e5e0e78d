import dataclasses
from types import SimpleNamespace

import pytest

from obis.cli.approval import Review, sign
from obis.cli.judgement import Finding, colons, judge, key_fingerprint, must_not_sign
from obis.refusal import Refused
from obis.trust.envelope import digest, make_envelope
from obis.trust.payload import GRANT, PRODUCT_RULE
from obis.trust.trust_root import Verified
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval, EnrolTicket, TicketSubject
from obis.v1.grants_pb2 import ListGrantsResponse, Proposal, SignedGrant
from obis.v1.products_pb2 import GetProductResponse, Product
from obis.v1.scope_pb2 import Assurance
from obis.v1.versions_pb2 import DiffVersionResponse, FieldDiff
from tests.obis.trust import objects
from tests.obis.trust.people import BOB, CAROL, view

SOON = 4_000_000_000  # Unix seconds: windows of these tests are open whenever they run


def octets(message):
    return message.SerializeToString(deterministic=True)


RULE = objects.product_rule()
SIGNED_RULE = make_envelope(PRODUCT_RULE, octets(RULE), [BOB, CAROL])


def open_grant(**changes):
    made = objects.grant(digest(octets(RULE)))
    made.window.ends_at = SOON
    for operation in made.operations:
        operation.window.ends_at = SOON
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def as_seen(message):
    return Verified(message, octets(message), digest(octets(message)), frozenset())


class Cloud:
    """What the cloud answers, true or not."""

    def __init__(self, rule=SIGNED_RULE, grants=(), changes=()):
        self.product = Product(rule=rule) if rule else Product()
        self.signed = [SignedGrant(envelope=each) for each in grants]
        self.changes = changes
        self.products = self.grants = self.versions = self
        self.signatures = []
        self.GetProduct, self.ListGrants = self.get_product, self.list_grants
        self.DiffVersion, self.SignProposal = self.diff_version, self.sign_proposal

    async def get_product(self, request, **_):
        return GetProductResponse(product=self.product)

    async def list_grants(self, request, **_):
        return ListGrantsResponse(grants=self.signed)

    async def diff_version(self, request, **_):
        return DiffVersionResponse(changes=self.changes, against_digest=b"x" * 32 if self.changes else b"")

    async def sign_proposal(self, request, **_):
        self.signatures.append(request.signature)
        return SimpleNamespace(proposal=Proposal())


async def findings(message, cloud=None):
    return await judge(cloud or Cloud(), view(), as_seen(message))


async def test_a_grant_that_holds_says_how_much_of_the_product_it_uses():
    found = await findings(open_grant())

    assert must_not_sign(found) == ""
    assert "50 of 100 devices of the product's lifetime are granted with this one" in [each.text for each in found]


async def test_granted_before_is_recomputed_from_the_chain_and_not_believed():
    first = open_grant()
    second = open_grant(sequence=2, previous_digest=digest(octets(first)), granted_before=0)

    found = await findings(second, Cloud(grants=[make_envelope(GRANT, octets(first), [BOB, CAROL])]))

    assert must_not_sign(found) == "LIFETIME_QUANTITY_EXCEEDED: granted_before says 0, the chain of Grants 50"


async def test_a_rule_that_nobody_signed_is_no_rule():
    forged = make_envelope(PRODUCT_RULE, octets(RULE), [BOB])

    assert "THRESHOLD_NOT_MET" in must_not_sign(await findings(open_grant(), Cloud(rule=forged)))


async def test_a_grant_beyond_the_lifetime_quantity_is_not_signed():
    grant = open_grant(total_quantity=101)

    assert "LIFETIME_QUANTITY_EXCEEDED" in must_not_sign(await findings(grant))


async def test_what_changed_since_the_last_version_is_shown():
    change = FieldDiff(path="firmware_version", before="1.0", after="1.1")

    texts = [each.text for each in await findings(open_grant(), Cloud(changes=[change]))]

    assert "changed firmware_version: 1.0 -> 1.1" in texts


async def test_a_rule_that_moves_a_product_to_another_vid_is_not_signed():
    after = objects.product_rule()
    after.sequence, after.previous_digest, after.vendor_id = 2, digest(octets(RULE)), 0xFFF2

    assert "WRONG_PRODUCT" in must_not_sign(await findings(after))


async def test_a_new_product_follows_nothing():
    claims = objects.product_rule()
    claims.previous_digest = b"p" * 32

    assert must_not_sign(await findings(RULE, Cloud(rule=None))) == ""
    assert "DIGEST_MISMATCH" in must_not_sign(await findings(claims, Cloud(rule=None)))


async def test_the_fingerprint_people_compare_is_made_from_the_keys_that_are_approved():
    keys = EdgeHsmKeys(**{name: name.encode() * 4 for name in EdgeHsmKeys.DESCRIPTOR.fields_by_name})
    approval = EnrolmentApproval(factory_id="th-1", keys=keys, assurance=Assurance.ASSURANCE_SOFTWARE)

    found = await findings(approval)

    assert Finding(True, f"key fingerprint {colons(key_fingerprint(keys))}") in found


@pytest.mark.parametrize(("factory_id", "good"), [("th-1", True), ("xx-9", False)])
async def test_a_ticket_for_a_site_nobody_knows_is_not_signed(factory_id, good):
    ticket = EnrolTicket(subject=TicketSubject.TICKET_SUBJECT_FACTORY, factory_id=factory_id)

    assert (must_not_sign(await findings(ticket)) == "") is good


async def test_what_must_not_be_signed_is_not_even_sent(tmp_path):
    cloud = Cloud()
    proposal = Proposal(envelope=make_envelope(GRANT, octets(open_grant())))
    reviewed = Review(proposal, "GRANT", "", (Finding(False, "its window has ended already"),))

    with pytest.raises(Refused, match="not signed: its window has ended"):
        await sign(cloud, reviewed, BOB)
    assert cloud.signatures == []

    await sign(cloud, dataclasses.replace(reviewed, findings=()), BOB)
    assert [each.key_id for each in cloud.signatures] == [BOB.key_id]
