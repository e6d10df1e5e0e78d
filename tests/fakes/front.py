"""A front without a boundary: serves Custody over a FakeLog by real mTLS, and notes what is handed in."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from obis.v1.custody_pb2 import (
    CosignedResponse,
    CustodyEnrolStationResponse,
    CustodyStatusResponse,
    DeliverResponse,
    FollowLogResponse,
)
from obis.v1.custody_pb2_grpc import CustodyServicer
from obis.v1.delivery_pb2 import DeliveryResult, LogPage
from tests.fakes.log import FakeLog


class FakeFront(CustodyServicer):
    """What the boundary would answer."""

    def __init__(self, log: FakeLog) -> None:
        self.log = log
        self.delivered = []
        self.cosigned = 0
        self.beacons = 0
        self.follows = []
        self.refuse = set()
        self.page_limit = 500

    @override
    async def Status(self, request, context):
        return CustodyStatusResponse(
            edgehsm_id=self.log.edgehsm_id, epoch=self.log.epoch, log_size=self.log.size, cosigned_size=self.cosigned
        )

    @override
    async def FollowLog(self, request, context):
        at = request.from_index
        self.follows.append(at)
        while True:
            if at < self.log.size:
                page = self.log.page(at, self.page_limit)
                at += len(page.leaves)
            else:
                page = LogPage(edgehsm_id=self.log.edgehsm_id, epoch=self.log.epoch, first_index=at)
                await asyncio.sleep(0.1)
            yield FollowLogResponse(page=page)

    @override
    async def Deliver(self, request, context):
        delivery = request.delivery
        if delivery.HasField("beacon"):
            self.beacons += 1
        else:
            self.delivered.append(delivery.number)
        accepted = delivery.number not in self.refuse
        result = DeliveryResult(
            number=delivery.number,
            edgehsm_id=delivery.edgehsm_id,
            epoch=delivery.epoch,
            accepted=accepted,
            reason="" if accepted else "WINDOW_CLOSED",
        )
        return DeliverResponse(result=result)

    @override
    async def Cosigned(self, request, context):
        self.cosigned = int(request.checkpoint.decode().split("\n")[1])
        return CosignedResponse(cosigned_size=self.cosigned)

    @override
    async def EnrolStation(self, request, context):
        return CustodyEnrolStationResponse(certificate_chain_der=[b"leaf", b"site ca"])
