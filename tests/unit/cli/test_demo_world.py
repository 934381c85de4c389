"""What the demo tells the services about the world around it."""

from pathlib import Path

from services.chassis.origins import Origin, Targets
from services.cli.demo.play import world_environment
from services.cli.demo.world import World

ALLOWED = "TOCSIN_NOTIFICATION_ALLOWED_TARGETS"


def test_the_demo_allows_its_own_receiver_and_nothing_beside_it() -> None:
    world = World(Path(), video_server="http://127.0.0.1:9000", smtp_port=25)
    world.webhook_origin = "http://127.0.0.1:9001"
    allowed = Targets.parse(world_environment(world, {})[ALLOWED])
    assert allowed == Targets.of([Origin("http", "127.0.0.1", 9001)])
    told = world_environment(world, {ALLOWED: "10.0.0.0/8"})
    assert Targets.parse(told[ALLOWED]) == allowed | Targets.parse("10.0.0.0/8")
