"""The five generic families under the contract, and their encodings as files."""

import pytest

from obis.matter.errors import MatterError
from station.silicon.family import factory_data as rebuilt
from station.silicon.registry import FAMILIES, family
from tests.station.silicon.contract import AdapterContract, Subject, factory_data

SOCS = [each.soc for each in FAMILIES]


@pytest.fixture(params=SOCS)
async def subject(request, chips):
    socket = chips(request.param).socket(slot=7)
    await socket.place()

    async def power_cycle():
        socket.close()

    return Subject(request.param, socket.chip, power_cycle)


class TestGenericFamilies(AdapterContract):
    pass


@pytest.mark.parametrize("soc", SOCS)
def test_an_encoding_is_deterministic_and_reads_back(soc):
    own, data = family(soc), factory_data(b"\x01\x02\x03\x04\x05\x06")

    assert own.encode(data) == own.encode(data)
    assert rebuilt(own.decode(own.encode(data)), data.blinding) == data


@pytest.mark.parametrize("soc", SOCS)
def test_no_blob_holds_the_blinding(soc):
    data = factory_data(b"\x01\x02\x03\x04\x05\x06")

    assert data.blinding not in family(soc).encode(data)


@pytest.mark.parametrize("soc", SOCS)
def test_every_shortened_blob_is_refused_or_reads_back_the_same(soc):
    own, data = family(soc), factory_data(b"\x01\x02\x03\x04\x05\x06")
    blob = own.encode(data)

    for end in range(len(blob)):
        with pytest.raises((ValueError, MatterError)):
            rebuilt(own.decode(blob[:end]), data.blinding)


def test_the_families_differ_in_what_they_write():
    data = factory_data(b"\x01\x02\x03\x04\x05\x06")

    assert len({each.encode(data) for each in FAMILIES}) == len(FAMILIES)
    assert len({(each.capabilities) for each in FAMILIES}) == len(FAMILIES)


def test_a_bank_that_is_damaged_is_made_good_by_the_other():
    own, data = family("generic-dual"), factory_data(b"\x01\x02\x03\x04\x05\x06")
    blob = bytearray(own.encode(data))
    blob[-20] ^= 1

    assert rebuilt(own.decode(bytes(blob)), data.blinding) == data
