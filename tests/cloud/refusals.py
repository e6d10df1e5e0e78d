"""What a caller understands of a refusal."""

from contextlib import contextmanager
from types import SimpleNamespace

import grpc
import pytest

from obis.mesh.status import understand
from obis.v1.reason_pb2 import Reason


@contextmanager
def refused(reason):
    """The call inside must be refused for this reason; what was said is readable afterwards."""
    said = SimpleNamespace(what="", where="")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        yield said
    refusal = understand(raised.value)
    assert Reason.Name(refusal.reason) == Reason.Name(reason), refusal.what
    said.what, said.where = refusal.what, refusal.where
