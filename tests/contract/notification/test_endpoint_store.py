"""`EndpointStore`: the same suite on the one in memory and the one on PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from services.notification.application.ports.channel_plans import OwnPlan
from services.notification.domain.channel_plan import Step
from services.notification.domain.delivery import MOST_OF_USER, Endpoint
from services.notification.domain.errors import EndpointLimit, EndpointNotFound, NotSigned, VersionConflict
from services.notification.domain.notification import ChannelName, Type
from tests.contract.notification.conftest import SENT, Rig, draft

EMAIL, FCM, WEBHOOK = ChannelName.EMAIL, ChannelName.FCM, ChannelName.WEBHOOK
UNKNOWN = "01a20270-b1bf-701a-bb2a-d9784e88e52a"


async def test_a_known_address_is_renewed_and_keeps_its_secret(rig: Rig) -> None:
    one, at, new = await rig.endpoints.register("test", "ada", WEBHOOK, "https://a.example", "s1")
    assert (one, at, new) == (Endpoint(one.id, WEBHOOK, "https://a.example", "s1"), rig.clock.time, True)
    rig.advance(5)
    assert await rig.endpoints.register("test", "ada", WEBHOOK, "https://a.example", "s2") == (
        one,
        rig.clock.time,
        False,
    )
    assert await rig.endpoints.page("test", "ada", limit=9, after="") == [(one, rig.clock.time)]


async def test_callers_at_once_register_one_address(rig: Rig) -> None:
    long = "https://a.example/" + "x" * 3000
    made = await asyncio.gather(*(rig.endpoints.register("test", "ada", WEBHOOK, long, str(n)) for n in range(4)))
    assert len({endpoint for endpoint, _, _ in made}) == 1
    assert [new for _, _, new in made].count(True) == 1


async def test_a_user_has_so_many_addresses_at_most(rig: Rig) -> None:
    wanted = [rig.endpoints.register("test", "ada", EMAIL, f"{n}@example.org", "") for n in range(MOST_OF_USER + 5)]
    outcomes = await asyncio.gather(*wanted, return_exceptions=True)
    kept = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, EndpointLimit)]
    assert (len(kept), len(refused)) == (MOST_OF_USER, 5)
    with pytest.raises(EndpointLimit):
        await rig.endpoints.register("test", "ada", FCM, "t-1", "")
    one = kept[0][0]
    assert (await rig.endpoints.register("test", "ada", EMAIL, one.address, ""))[2] is False, "a known one is renewed"
    await rig.endpoints.register("test", "bob", FCM, "t-1", "")
    assert await rig.endpoints.delete("test", "ada", one.id)
    assert (await rig.endpoints.register("test", "ada", FCM, "t-1", ""))[2], "there is room, and the token moves"


async def test_different_addresses_at_once_are_each_answered_for_itself(rig: Rig) -> None:
    wanted = [
        (tenant, user, channel, f"{user}{n % 2}@example.org", f"secret {n}")
        for n in range(4)
        for tenant in ("test", "wellness")
        for user in ("ada", "bob")
        for channel in (EMAIL, WEBHOOK)
    ]
    made = await asyncio.gather(*(rig.endpoints.register(*one) for one in wanted))
    first: dict[tuple[str, str, ChannelName, str], Endpoint] = {}
    for (tenant, user, channel, address, secret), (endpoint, at, new) in zip(wanted, made, strict=True):
        key = tenant, user, channel, address
        assert new == (key not in first)
        assert endpoint == first.setdefault(key, Endpoint(endpoint.id, channel, address, secret))
        assert at == rig.clock.time
    assert len({endpoint.id for endpoint in first.values()}) == 16


async def test_pages_are_the_user_s_by_id(rig: Rig) -> None:
    made = [(await rig.endpoints.register("test", "ada", EMAIL, f"a{n}@example.org", ""))[0] for n in range(5)]
    await rig.endpoints.register("test", "bob", EMAIL, "a1@example.org", "")
    await rig.endpoints.register("wellness", "ada", EMAIL, "a1@example.org", "")
    made.sort(key=lambda point: point.id)
    first = [point for point, _ in await rig.endpoints.page("test", "ada", limit=3, after="")]
    assert first == made[:3]
    assert [point for point, _ in await rig.endpoints.page("test", "ada", limit=3, after=first[-1].id)] == made[3:]
    assert await rig.endpoints.page("test", "nobody", limit=3, after="") == []


async def test_only_the_user_s_own_is_deleted(rig: Rig) -> None:
    one, _, _ = await rig.endpoints.register("test", "ada", EMAIL, "a@example.org", "")
    strange = ("test", "bob", one.id), ("wellness", "ada", one.id), ("test", "ada", UNKNOWN), ("test", "ada", "nothing")
    for tenant, user, id_ in (*strange, ("test", "ada", one.id.upper())):
        assert not await rig.endpoints.delete(tenant, user, id_)
    assert await rig.endpoints.delete("test", "ada", one.id)
    assert not await rig.endpoints.delete("test", "ada", one.id)
    again, _, new = await rig.endpoints.register("test", "ada", EMAIL, "a@example.org", "")
    assert new
    assert again.id != one.id


async def test_how_many_users_can_be_reached(rig: Rig) -> None:
    for tenant, user, channel, address in (
        ("test", "ada", EMAIL, "a@example.org"),
        ("test", "ada", EMAIL, "b@example.org"),
        ("test", "ada", WEBHOOK, "https://a.example"),
        ("wellness", "ada", EMAIL, "a@example.org"),
        ("test", "eve", EMAIL, "e@example.org"),
    ):
        await rig.endpoints.register(tenant, user, channel, address, "")
    wanted = [("test", "ada"), ("wellness", "ada"), ("test", "bob"), ("wellness", "eve"), ("test", "ada")]
    plan = (Step(WEBHOOK, timedelta(minutes=1)), Step(EMAIL))
    for user in ("ada", "bob"):
        await rig.plans.set("test", user, Type.ALERT, (Step(EMAIL),))
        await rig.plans.set("test", user, Type.ALERT, plan)
    await rig.plans.set("test", "ada", Type.INFO, plan)
    assert await rig.plans.delete("test", "ada", Type.INFO)
    assert not await rig.plans.delete("test", "ada", Type.INFO)
    found = await rig.endpoints.contacts(wanted)
    shown = {
        user: {channel: [point.address for point in points] for channel, points in known.addresses.items()}
        for user, known in found.items()
    }
    assert shown == {
        ("test", "ada"): {EMAIL: ["a@example.org", "b@example.org"], WEBHOOK: ["https://a.example"]},
        ("wellness", "ada"): {EMAIL: ["a@example.org"]},
        ("test", "bob"): {},
    }
    own = {Type.ALERT: plan}
    assert [found[user].plans for user in shown] == [own if user[0] == "test" else {} for user in shown]
    assert await rig.endpoints.contacts([]) == {}


async def owners(rig: Rig, tenant: str, *users: str) -> list[str]:
    """The users who have an address."""
    return [user for user in users if await rig.endpoints.page(tenant, user, limit=9, after="")]


async def test_a_token_moves_to_the_user_who_registers_it_last(rig: Rig) -> None:
    first, _, _ = await rig.endpoints.register("test", "ada", FCM, "phone", "")
    other, _, _ = await rig.endpoints.register("wellness", "ada", FCM, "phone", "")
    tablet, _, _ = await rig.endpoints.register("test", "ada", FCM, "tablet", "")
    second, _, new = await rig.endpoints.register("test", "bob", FCM, "phone", "")
    assert new
    assert len({first.id, second.id, other.id, tablet.id}) == 4
    assert [point for point, _ in await rig.endpoints.page("test", "ada", limit=9, after="")] == [tablet]
    assert [point for point, _ in await rig.endpoints.page("test", "bob", limit=9, after="")] == [second]
    assert [point for point, _ in await rig.endpoints.page("wellness", "ada", limit=9, after="")] == [other]
    again, _, new = await rig.endpoints.register("test", "bob", FCM, "phone", "")
    assert (again, new) == (second, False)
    back, _, new = await rig.endpoints.register("test", "ada", FCM, "phone", "")
    assert new
    assert back.id not in {first.id, second.id}
    assert await owners(rig, "test", "ada", "bob") == ["ada"]


async def test_other_addresses_may_be_shared(rig: Rig) -> None:
    for channel, address in ((EMAIL, "family@example.org"), (WEBHOOK, "https://a.example")):
        for user in ("ada", "bob"):
            await rig.endpoints.register("test", user, channel, address, "")
    assert await owners(rig, "test", "ada", "bob") == ["ada", "bob"]


async def test_a_token_that_many_register_at_once_is_one_user_s(rig: Rig) -> None:
    users = [f"u{number}" for number in range(8)]
    made = await asyncio.gather(*(rig.endpoints.register("test", user, FCM, "phone", "") for user in users * 2))
    assert all(new for _, _, new in made[:1])
    [owner] = await owners(rig, "test", *users)
    [(kept, _)] = await rig.endpoints.page("test", owner, limit=9, after="")
    assert kept in [endpoint for (endpoint, _, _), user in zip(made, users * 2, strict=True) if user == owner]


async def test_a_rotated_secret_of_a_webhook_signs_beside_the_new_one(rig: Rig) -> None:
    made, _, _ = await rig.endpoints.register("test", "ada", WEBHOOK, "https://a.example", "s1")
    rotated, at = await rig.endpoints.rotate("test", "ada", made.id, "s2", timedelta(hours=1), expected=1)
    assert (rotated.secret, rotated.version, at) == ("s2", 2, rig.clock.time)
    assert rotated.former_secret_until == rig.clock.time + timedelta(hours=1)
    for former in ("s1", ""):
        await rig.enqueue(draft(), channel=WEBHOOK)
        [claimed] = await rig.claim()
        point = claimed.endpoint
        assert point is not None
        assert (point.secret, point.former_secret) == ("s2", former)
        await rig.complete(SENT, claimed)
        # What is claimed when it is accepted signs alike.
        route = await rig.route(draft(), WEBHOOK)
        kept = await rig.notifications.enqueue_claimed(draft(), route)
        [at_once] = kept.claimed
        assert at_once.endpoint == point
        await rig.complete(SENT, at_once)
        rig.advance(3600)
    mail, _, _ = await rig.endpoints.register("test", "ada", EMAIL, "a@example.org", "")
    with pytest.raises(NotSigned):
        await rig.endpoints.rotate("test", "ada", mail.id, "s3", timedelta(0))
    for user, id_ in (("bob", made.id), ("ada", UNKNOWN), ("ada", "nothing")):
        with pytest.raises(EndpointNotFound):
            await rig.endpoints.rotate("test", user, id_, "s3", timedelta(0))


async def test_a_change_of_an_old_version_of_an_address_is_refused(rig: Rig) -> None:
    made, _, _ = await rig.endpoints.register("test", "ada", WEBHOOK, "https://a.example", "s1")
    renewed, _, _ = await rig.endpoints.register("test", "ada", WEBHOOK, "https://a.example", "s2")
    assert (made.version, renewed.version) == (1, 2)
    [(kept, _)] = await rig.endpoints.page("test", "ada", limit=9, after="")
    assert kept.version == 2
    for change in (
        rig.endpoints.rotate("test", "ada", made.id, "s3", timedelta(0), expected=1),
        rig.endpoints.delete("test", "ada", made.id, expected=1),
    ):
        with pytest.raises(VersionConflict) as refused:
            await change
        assert refused.value.metadata == {"id": made.id, "expected": "1", "current": "2"}
    assert await rig.endpoints.delete("test", "ada", made.id, expected=2)
    assert not await rig.endpoints.delete("test", "ada", made.id, expected=2)


async def test_plans_have_versions(rig: Rig) -> None:
    plan, other = (Step(EMAIL),), (Step(FCM),)
    assert await rig.plans.get("test", "ada", Type.ALERT) is None
    with pytest.raises(VersionConflict):
        await rig.plans.set("test", "ada", Type.ALERT, plan, expected=1)
    assert await rig.plans.set("test", "ada", Type.ALERT, plan) == 1
    assert await rig.plans.set("test", "ada", Type.ALERT, other, expected=1) == 2
    assert await rig.plans.get("test", "ada", Type.ALERT) == OwnPlan(other, 2)
    for change in (
        rig.plans.set("test", "ada", Type.ALERT, plan, expected=1),
        rig.plans.delete("test", "ada", Type.ALERT, expected=1),
    ):
        with pytest.raises(VersionConflict) as refused:
            await change
        assert refused.value.metadata == {"id": "ada", "expected": "1", "current": "2"}
    assert await rig.plans.delete("test", "ada", Type.ALERT, expected=2)
    assert not await rig.plans.delete("test", "ada", Type.ALERT, expected=2)
