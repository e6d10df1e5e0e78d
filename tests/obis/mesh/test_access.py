"""Every RPC of the contract has its row, and no row is about an RPC that does not exist."""

import importlib
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

import obis.v1
from obis.mesh.access import ACCESS, AccessTableIncomplete, check_access, check_complete
from obis.mesh.identity import ANONYMOUS, Peer, Role
from obis.refusal import Refused


def contract():
    files = [
        importlib.import_module(f"obis.v1.{path.stem}").DESCRIPTOR
        for path in Path(obis.v1.__file__).parent.glob("*_pb2.py")
    ]
    return {
        f"/{service.full_name}/{method.name}"
        for file in [*files, health_pb2.DESCRIPTOR]
        for service in file.services_by_name.values()
        for method in service.methods
    }


def test_every_rpc_has_its_row_and_every_row_its_rpc():
    assert contract() == ACCESS.keys()


def peer(role):
    return ANONYMOUS if role is Role.ANONYMOUS else Peer(role, "x", "", b"", None)


@pytest.mark.parametrize("method", sorted(ACCESS))
def test_only_the_roles_of_the_row_pass(method):
    for role in ACCESS[method]:
        check_access(peer(role), method)
    for role in set(Role) - ACCESS[method]:
        with pytest.raises(Refused, match="ROLE_NOT_ALLOWED"):
            check_access(peer(role), method)


def test_a_method_without_row_is_refused_to_all():
    for role in Role:
        with pytest.raises(Refused):
            check_access(peer(role), "/obis.v1.Line/Undecided")


def test_who_has_no_certificate_gets_to_enrolment_alone():
    open_to_all = {method for method, roles in ACCESS.items() if Role.ANONYMOUS in roles}

    assert {each.split("/")[1] for each in open_to_all} == {
        "obis.v1.Enrolment",
        "obis.v1.Supervisor",
        "grpc.health.v1.Health",
    }
    assert "/obis.v1.Enrolment/Renew" not in open_to_all


def test_only_people_sign_and_propose():
    for method in ("Grants/SignProposal", "Grants/ProposeGrant", "Factories/ProposeApproval", "Products/CreateProduct"):
        assert ACCESS[f"/obis.v1.{method}"] == {Role.PERSON}


def test_a_served_rpc_without_row_is_named():
    with pytest.raises(AccessTableIncomplete, match="Line/Undecided"):
        check_complete(["/obis.v1.Line/Undecided", "/obis.v1.Line/WatchWork"])
