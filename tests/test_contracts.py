"""The rules of the tree catch what they are there for: a control for each."""

import re

import pytest
from grimp import ImportGraph
from importlinter.adapters.timing import SystemClockTimer
from importlinter.configuration import settings

from tests.contracts import DecisionsContract
from tests.test_architecture import FORBIDDEN_TEXT, MAKES_OR_LOADS_A_KEY, READS_THE_CLOCK


def decides(*imports):
    """Does a decision with these imports keep the contract? `room.gate` imports `room.helps`, which imports them."""
    graph = ImportGraph()
    for name in ("room", "room.gate", "room.helps", *imports):
        graph.add_module(name, is_squashed=name in {"grpc", "sqlite3"})
    graph.add_import(importer="room.gate", imported="room.helps")
    for name in imports:
        graph.add_import(importer="room.helps", imported=name)
    contract = DecisionsContract(
        name="decisions",
        session_options={"root_packages": ["room", "obis"], "include_external_packages": "True"},
        contract_options={"source_modules": ["room.gate", "room.not_yet"], "forbidden_modules": ["grpc", "sqlite3"]},
    )
    settings.configure(TIMER=SystemClockTimer())
    return contract.check(graph, verbose=False).kept


def test_a_decision_may_know_values():
    assert decides("obis.v1.grant_pb2", "obis.v1.reason_pb2")


@pytest.mark.parametrize("name", ["grpc", "sqlite3", "obis.v1.line_pb2", "obis.v1.grant_pb2_grpc"])
def test_a_decision_reaches_no_network_store_or_service_even_through_others(name):
    assert not decides(name)


@pytest.mark.parametrize(
    "name",
    [
        *("ec.generate_private_key", "rsa.generate_private_key", "ec.derive_private_key", "load_pem_private_key"),
        *(
            "serialization.load_der_private_key",
            "Ed25519PrivateKey.generate",
            "x25519.X25519PrivateKey.from_private_bytes",
        ),
        "ec.EllipticCurvePrivateNumbers.private_key",
    ],
)
def test_making_or_loading_a_key_is_seen(name):
    assert MAKES_OR_LOADS_A_KEY.search(name)


@pytest.mark.parametrize(
    "name", ["datetime.now", "datetime.datetime.utcnow", "time.time", "date.today", "time.monotonic"]
)
def test_reading_the_clock_is_seen(name):
    assert READS_THE_CLOCK.search(name)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a private key", "-----BEGIN EC " + "PRIVATE KEY-----"),
        ("a private key", "-----BEGIN " + "PRIVATE KEY-----"),
        ("a path of one machine", "open('" + "/home" + "/ana/x')"),
        ("a path of one machine", "cd " + "/work" + "/main"),
        ("a package registry's host", "https://" + "pypi" + ".org/simple"),
        ("another package index", "pip install --extra-index" + "-url x"),
    ],
)
def test_what_no_file_may_contain_is_seen(what, line):
    assert re.search(FORBIDDEN_TEXT[what], line)
