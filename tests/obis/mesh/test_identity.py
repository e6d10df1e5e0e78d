import pytest

from obis.mesh.identity import Identity, Role, calling_peer
from obis.refusal import Refused

NAMES = [
    (Identity(Role.CLOUD, "main"), "spiffe://cloud.obis/cloud/main"),
    (Identity(Role.VAULT, "v1"), "spiffe://cloud.obis/vault/v1"),
    (Identity(Role.FACTORY, "th-01"), "spiffe://cloud.obis/factory/th-01"),
    (Identity(Role.EDGEHSM, "th-01-a"), "spiffe://cloud.obis/edgehsm/th-01-a"),
    (Identity(Role.PERSON, "ana.b-c"), "spiffe://cloud.obis/person/ana.b-c"),
    (Identity(Role.BACKEND, "erp"), "spiffe://cloud.obis/backend/erp"),
    (Identity(Role.FRONT, "a", "th-01"), "spiffe://th-01.site.obis/front/a"),
    (Identity(Role.STATION, "7", "th-01"), "spiffe://th-01.site.obis/station/7"),
    (Identity(Role.SUPERVISOR, "mai", "th-01"), "spiffe://th-01.site.obis/supervisor/mai"),
]


@pytest.mark.parametrize(("identity", "uri"), NAMES)
def test_a_name_is_one_uri_both_ways(identity, uri):
    assert identity.uri == uri
    assert Identity.parse(uri) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://th-01.site.obis/person/ana",  # a site names no persons
        "spiffe://th-01.site.obis/factory/th-01",
        "spiffe://cloud.obis/station/7",  # nor the cloud stations
        "spiffe://cloud.obis/anonymous/x",
        "spiffe://cloud.obis/root/x",
        "spiffe://cloud.obis/person/ana/admin",
        "spiffe://cloud.obis/person/ana?role=root",
        "spiffe://cloud.obis/person/Ana",
        "spiffe://cloud.obis/backend/a.b",  # dots are for persons
        "spiffe://cloud.obis/backend/" + "a" * 33,
        "spiffe://cloud.obis:443/cloud/main",
        "spiffe://x@cloud.obis/cloud/main",
        "spiffe://a.b.site.obis/station/7",  # a factory id has no dots
        "spiffe://.site.obis/station/7",
        "spiffe://site.obis/station/7",
        "spiffe://th-01.site.obis.evil/station/7",
        "SPIFFE://cloud.obis/cloud/main",
        "spiffe://cloud.obis/cloud/main\n",
        "https://cloud.obis/cloud/main",
        "",
    ],
)
def test_what_is_not_exactly_a_name_is_none(uri):
    with pytest.raises(ValueError, match="not a name"):
        Identity.parse(uri)


def test_a_name_cannot_be_made_for_the_wrong_place():
    with pytest.raises(ValueError, match="not a name"):
        Identity(Role.PERSON, "ana", "th-01")
    with pytest.raises(ValueError, match="not a name"):
        Identity(Role.STATION, "7")
    with pytest.raises(ValueError, match="not a name"):
        Identity(Role.ANONYMOUS, "x")


def test_a_factory_service_belongs_to_its_own_factory():
    assert Identity(Role.FACTORY, "th-01").factory_id == "th-01"
    with pytest.raises(ValueError, match="not a name"):
        Identity(Role.FACTORY, "th-01", "th-02")


def test_the_dns_name_of_a_server_says_role_id_and_host():
    assert Identity(Role.FRONT, "a", "th-01").dns_name == "a.front.th-01.site.obis"
    with pytest.raises(ValueError, match="serves nothing"):
        _ = Identity(Role.STATION, "7", "th-01").dns_name


def test_outside_of_a_call_nobody_is_calling():
    with pytest.raises(Refused):
        calling_peer()
