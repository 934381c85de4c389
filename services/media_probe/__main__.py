"""`python -m services.media_probe`."""

from services.chassis.app import run
from services.media_probe.bootstrap import bootstrap
from services.media_probe.settings import MediaProbeSettings

if __name__ == "__main__":
    run("media_probe", MediaProbeSettings, bootstrap)
