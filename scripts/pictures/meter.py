"""What the counter rules of the contract say of each value of a meter, told one value at a time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """See CounterRules in the contract."""

    policy: str = "HOLD_THEN_RESET"
    register_size: float = 0.0
    max_increase_per_hour: float = 0.0


@dataclass
class Judged:
    """One value. `total`: consumption that is known when it has come; `breaks`: the level jumped to it."""

    time: float
    value: float
    total: float = 0.0
    accepted: bool = False
    held: bool = False
    breaks: bool = False
    correction: str = ""


def judge(readings: list[tuple[float, float]], rules: Rules) -> list[Judged]:
    """Times in minutes, ascending."""
    found = [Judged(time, value) for time, value in readings]
    level = found[0]
    level.accepted = True
    held: list[Judged] = []
    total, before_reset = 0.0, None
    for one in found[1:]:
        step = one.value - level.value
        limit = rules.max_increase_per_hour * (one.time - level.time) / 60 or float("inf")
        if before_reset is not None and one.value >= before_reset[0].value:
            before, level.correction, level.accepted = before_reset[0], "REVOKED", False
            total = before_reset[1] + one.value - before.value
            one.accepted, level = True, one
        elif 0 <= step <= limit:
            for suspect in held:
                suspect.correction = "GLITCH"
            held.clear()
            total += step
            one.accepted, level = True, one
        elif step < 0 and rules.policy == "REJECT":
            one.correction = "REJECTED"
        elif step < 0 and rules.policy == "RESET":
            before_reset = level, total
            total += one.value
            one.accepted, one.breaks, one.correction, level = True, True, "RESET", one
            one.total = total
            continue
        elif step < 0 and rules.policy == "ROLLOVER" and step + rules.register_size < rules.register_size / 2:
            total += step + rules.register_size
            one.accepted, one.breaks, one.correction, level = True, True, "ROLLOVER", one
        else:
            if held and one.value < held[-1].value:
                for suspect in held:
                    suspect.correction = "GLITCH"
                held.clear()
            held.append(one)
            if len(held) == 3:
                held[0].correction = "JUMP" if step > 0 else "RESET"
                held[0].breaks = True
                total += one.value - held[0].value
                for suspect in held:
                    suspect.accepted = suspect.held = True
                level = one
                held.clear()
        before_reset = None
        one.total = total
    return found
