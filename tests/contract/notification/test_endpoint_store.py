"""`EndpointStore`: the same suite on the one in memory and the one on PostgreSQL."""

import asyncio
from datetime import timedelta

from services.notification.domain.channel_plan import Step
from services.notification.domain.delivery import Endpoint
from services.notification.domain.notification import ChannelName, Type
from tests.contract.notification.conftest import Rig

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
