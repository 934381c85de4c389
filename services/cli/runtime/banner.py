"""What `tocsin up` says when all is healthy, and last."""

import os
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from services.cli.runtime.instance import Instance
from services.cli.runtime.state import StateDir

_BEGUN = time.monotonic()


def print_healthy(console: Console) -> None:
    """That all is healthy, and how long it took."""
    console.print(f"\n  All healthy after {seconds_since_start():.1f} s.\n", style="bold green")


def print_addresses(console: Console, instance: Instance, state: StateDir, *, detached: bool = False) -> None:
    """Where everything that runs is, and how to stop."""
    rows: list[tuple[str, str, str]] = []
    if instance.edge_url:
        token = state.command("token")
        rows.append(("edge", instance.edge_url, "REST, gRPC and gRPC-Web"))
        rows.append(("docs", f"{instance.edge_url}/docs", "Swagger UI; the contract: /openapi.json"))
        rows.append(("token", token, f'curl -H "authorization: Bearer $({token})" ...'))
    if instance.nats_url:
        rows.append(("nats", instance.nats_url, "events for downstream teams, payloads of gateways"))
        if not instance.nats_user:
            rows.append(("", str(state.credentials / "downstream.env"), "read-only login of the teams"))
            rows.append(("", str(state.credentials / "gateway.env"), "publish-only login of gateways"))
            rows.append(("", str(state.credentials / "publisher-TENANT.env"), "logins of tenants' publishers"))
    rows.append(("metrics", str(state.prometheus_file), "targets for Prometheus (file_sd_configs)"))
    rows.append(("status", state.command("status"), f"logs: {state.command('logs')} --follow"))
    width = max(len(value) for _, value, _ in rows)
    lines = Text()
    for name, value, note in rows:
        lines.append(f"  {name:<8}", style="bright_black")
        lines.append(f"{value:<{width}}  ", style="cyan")
        lines.append(f"{note}\n", style="bright_black")
    if detached:
        lines.append(f"\n  It runs in the background; {state.command('stop')} stops everything.\n", style="bold")
    else:
        lines.append("\n  Ctrl-C stops everything.\n", style="bold")
    console.print(lines, soft_wrap=True)


def print_goodbye(console: Console) -> None:
    """The last line."""
    console.print("\nTocsin is down.\n", style="bold")


def seconds_since_start() -> float:
    """Seconds since this process was started, its own loading included where /proc tells."""
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return time.monotonic() - _BEGUN
    return uptime - int(stat[19]) / os.sysconf("SC_CLK_TCK")
