"""Channel plans, addresses beside each other, and unknown outcomes, against servers of the providers' protocols."""

from datetime import timedelta

import pytest

from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.fcm import Fcm
from tests.support.mailbox import Mailbox
from tests.support.notification import ALERT, Service, letter_pb, pb, plan_pb
from tests.support.receiver import Receiver


def options(fcm: Fcm, mailbox: Mailbox) -> dict[str, object]:
    return {
        "fcm_account_file": fcm.account_file,
        "fcm_base_url": fcm.url,
        "smtp_host": "127.0.0.1",
        "smtp_port": mailbox.port,
    }


async def set_plan(service: Service, *steps: tuple[str, float | None], user: str = "ada") -> plan_pb.ChannelPlan:
    made = [plan_pb.ChannelPlan.Step(channel=pb.Channel.Value(channel)) for channel, _ in steps]
    for step, (_, after) in zip(made, steps, strict=True):
        if after is not None:
            step.after.FromTimedelta(timedelta(seconds=after))
    request = plan_pb.SetChannelPlanRequest(tenant="test", user=user, type=ALERT, steps=made)
    return await service.plans.SetChannelPlan(request)


async def test_who_has_deleted_the_app_is_told_by_mail(open_service: OpenService, fcm: Fcm, mailbox: Mailbox) -> None:
    async with open_service(**options(fcm, mailbox)) as service:
        await service.register("FCM", "token-1")
        await service.register("EMAIL", "ada@example.org")
        fcm.unregistered.add("token-1")
        queued = await service.send()
        sent = await service.becomes(queued.id, "SENT", attempts=2)
        assert (sent.channel, sent.address) == (pb.Channel.EMAIL, "ada@example.org")
        assert [(one.channel, one.sent, one.code) for one in sent.history] == [
            (pb.Channel.FCM, False, "FCM_UNREGISTERED"),
            (pb.Channel.EMAIL, True, ""),
        ]
        assert len(mailbox.messages) == 1
        assert (await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())).dead_letters == []


async def test_a_plan_of_one_s_own_counts_for_its_type(open_service: OpenService, fcm: Fcm, mailbox: Mailbox) -> None:
    async with open_service(**options(fcm, mailbox), tenant_channel_plans="test=FCM:30s,EMAIL") as service:
        await service.register("FCM", "token-1")
        await service.register("EMAIL", "ada@example.org")
        get = plan_pb.GetChannelPlanRequest(tenant="test", user="ada", type=ALERT)
        default = await service.plans.GetChannelPlan(get)
        assert [(one.channel, one.after.seconds) for one in default.steps] == [(pb.FCM, 30), (pb.EMAIL, 0)]
        assert not default.own
        assert (await set_plan(service, ("EMAIL", 60), ("FCM", None))).own
        assert (await service.plans.GetChannelPlan(get)).own
        sent = await service.send(wait=True)
        assert (sent.status, sent.channel) == (pb.Notification.SENT, pb.Channel.EMAIL)
        info = await service.send(wait=True, type=pb.NotificationType.INFO)
        assert info.channel == pb.Channel.FCM
        delete = plan_pb.DeleteChannelPlanRequest(tenant="test", user="ada", type=ALERT)
        await service.plans.DeleteChannelPlan(delete)
        with pytest.raises(NotFound):
            await service.plans.DeleteChannelPlan(delete)
        assert (await service.plans.GetChannelPlan(get)) == default
        with pytest.raises(InvalidArgument) as twice:
            await set_plan(service, ("FCM", None), ("FCM", None))
        assert twice.value.violations[0].field == "steps"


async def test_a_push_that_is_not_delivered_in_its_time_is_followed_by_a_mail(
    open_service: OpenService, fcm: Fcm, mailbox: Mailbox
) -> None:
    async with open_service(**options(fcm, mailbox)) as service:
        await service.register("FCM", "token-1")
        await service.register("EMAIL", "ada@example.org")
        await set_plan(service, ("FCM", 30), ("EMAIL", None))
        fcm.errors.append(("UNAVAILABLE", {"retry-after": "600"}))
        pending = await service.send(wait=True)
        assert pending.status == pb.Notification.PENDING
        await service.advance(timedelta(seconds=29))
        assert mailbox.messages == []
        await service.advance(timedelta(seconds=1))
        sent = await service.becomes(pending.id, "SENT", attempts=2)
        assert sent.channel == pb.Channel.EMAIL


async def test_one_address_that_asks_for_time_delays_no_other(service: Service, receiver: Receiver) -> None:
    for path in ("a", "b"):
        await service.register("WEBHOOK", f"{receiver.url}/{path}")
    receiver.answers.extend([(429, {"retry-after": "600"}), (500, {})])
    pending = await service.send()
    await service.becomes(pending.id, "PENDING", attempts=2)
    await service.advance(timedelta(seconds=2))
    await service.becomes(pending.id, "SENT", attempts=3)
    await service.advance(timedelta(seconds=598))
    await service.becomes(pending.id, "SENT", attempts=4)
    assert len({hook.id for hook in receiver.hooks}) == 1


@pytest.mark.parametrize("unknown", ["resend", "hold", "EMAIL=hold", "FCM=hold"])
async def test_what_may_have_arrived_is_sent_again_or_held(
    open_service: OpenService, fcm: Fcm, mailbox: Mailbox, unknown: str
) -> None:
    async with open_service(**options(fcm, mailbox), unknown=unknown) as service:
        await service.register("EMAIL", "ada@example.org")
        mailbox.data.append("drop")
        queued = await service.send()
        if unknown in ("resend", "FCM=hold"):
            await service.becomes(queued.id, "PENDING", attempts=1)
            await service.advance(timedelta(seconds=2))
            await service.becomes(queued.id, "SENT", attempts=2)
            assert mailbox.ids == [f"<{queued.id}@tocsin.test>"] * 2
        else:
            await service.becomes(queued.id, "FAILED", attempts=1)
            assert len(mailbox.messages) == 1

            async def letters() -> list[letter_pb.DeadLetter]:
                found = await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())
                return list(found.dead_letters)

            await eventually(letters)


async def test_the_same_key_has_the_first_answer_when_the_last_address_is_gone(
    open_service: OpenService, fcm: Fcm
) -> None:
    async with open_service(fcm_account_file=fcm.account_file, fcm_base_url=fcm.url) as service:
        await service.register("FCM", "token-1")
        fcm.unregistered.add("token-1")
        told: list[dict[str, str]] = []
        for wait in (True, True):
            with pytest.raises(FailedPrecondition) as failed:
                await service.send(wait=wait, idempotency_key="k")
            assert failed.value.reason == "DELIVERY_FAILED"
            told.append(dict(failed.value.metadata))
        assert told[0] == told[1]
        assert (await service.send(idempotency_key="k")).id == told[0]["id"]
        with pytest.raises(FailedPrecondition) as nobody:
            await service.send(idempotency_key="other")
        assert nobody.value.reason == "NO_ENDPOINT"
