"""`python -m services.notification`: the notification service."""

from services.chassis.app import run
from services.notification.bootstrap import bootstrap
from services.notification.settings import NotificationSettings

if __name__ == "__main__":
    run("notification", NotificationSettings, bootstrap)
