"""ChannelPlanService over gRPC."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty

from services.notification.adapters.grpc.notifications import Context
from services.notification.application.channel_plans import ChannelPlans, InForce
from services.notification.domain.channel_plan import Plan, Step
from services.notification.domain.notification import ChannelName, Type
from tocsin.notification.v1 import channel_plan_service_pb2 as pb
from tocsin.notification.v1 import channel_plan_service_pb2_grpc as rpc
from tocsin.notification.v1.notification_service_pb2 import Channel, NotificationType


class ChannelPlanServicer(rpc.ChannelPlanServiceServicer):
    """Messages in, commands to the use cases, messages out."""

    def __init__(self, plans: ChannelPlans) -> None:
        self._plans = plans

    async def GetChannelPlan(self, request: pb.GetChannelPlanRequest, context: Context) -> pb.ChannelPlan:
        """See the contract."""
        return _message(request, await self._plans.get(request.tenant, request.user, _type(request.type)))

    async def SetChannelPlan(self, request: pb.SetChannelPlanRequest, context: Context) -> pb.ChannelPlan:
        """See the contract."""
        type_, plan = _type(request.type), _plan(request.steps)
        found = await self._plans.set(request.tenant, request.user, type_, plan, expected=request.expected_version)
        return _message(request, found)

    async def DeleteChannelPlan(self, request: pb.DeleteChannelPlanRequest, context: Context) -> Empty:
        """See the contract."""
        expected = request.expected_version
        await self._plans.delete(request.tenant, request.user, _type(request.type), expected=expected)
        return Empty()


def _type(value: Any) -> Type:
    return Type(NotificationType.Name(value))


def _plan(steps: Sequence[pb.ChannelPlan.Step]) -> Plan:
    return tuple(
        Step(ChannelName(Channel.Name(step.channel)), step.after.ToTimedelta() if step.HasField("after") else None)
        for step in steps
    )


def _message(request: pb.GetChannelPlanRequest | pb.SetChannelPlanRequest, found: InForce) -> pb.ChannelPlan:
    return pb.ChannelPlan(
        tenant=request.tenant,
        user=request.user,
        type=request.type,
        steps=[_step(step) for step in found.plan],
        own=found.own,
        version=found.version,
    )


def _step(step: Step) -> pb.ChannelPlan.Step:
    message = pb.ChannelPlan.Step(channel=step.channel.value)
    if step.after is not None:
        after = Duration()
        after.FromTimedelta(step.after)
        message.after.CopyFrom(after)
    return message
