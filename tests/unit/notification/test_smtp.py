"""E-mails over real connections to a mail server that does what a script says: the outcome of each is exact."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notification.adapters.channels.smtp import SmtpMailer
from services.notification.adapters.channels.smtp_connection import SmtpOptions
from services.notification.application.ports.invoices import Mail
from services.notification.domain.delivery import Failure, Outcome, Sent
from services.notification.domain.smtp_timeouts import SmtpTimeouts
from tests.support.eventually import eventually

GOOD = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go on", "CONTENT": "250 2.0.0 taken"}
NEVER, CUT = "never", "cut"
"""Instead of an answer: nothing at all, and the end of the connection."""
SIZE = 1000


@dataclass
class Server:
    """`script` says for the e-mail of a number (its size tells which) what is answered to a step; else all is well."""

    script: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    pipelining: bool = True
    reports: bool = False
    without_recipient: str = "503 5.5.1 no valid recipients"
    per_connection: int = 1000
    taken: list[int] = field(default_factory=list[int])
    content: list[bytes] = field(default_factory=list[bytes])
    log: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.writers.append(writer)
        try:
            await self._say(writer, "220 here")
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mail, recipient, carried = -1, False, 0
        while True:
            line = (await reader.readuntil(b"\r\n")).decode().strip()
            verb = line[:4].upper()
            self.log.append(verb)
            self.lines.append(line)
            if verb == "MAIL":
                step = "421 enough" if carried == self.per_connection else "503 5.5.1 nested" if mail >= 0 else ""
                number = int(line.partition("SIZE=")[2].partition(" ")[0]) - SIZE
                step = step or self._step(number, verb)
                mail = number if step.startswith("2") else mail
            elif verb == "RCPT":
                step = self._step(mail, verb) if mail >= 0 else "503 5.5.1 MAIL first"
                recipient = step.startswith("2")
            elif verb == "DATA":
                step = self._step(mail, verb) if recipient else self.without_recipient
            else:
                mail, recipient = -1, False
                extensions = b"250-PIPELINING\r\n" if self.pipelining else b""
                extensions += b"250-DSN\r\n" if self.reports else b""
                step = {"EHLO": "250 SIZE", "QUIT": "221 bye"}.get(verb, "250 ok")
                writer.write(b"250-here\r\n" + extensions if verb == "EHLO" else b"")
            if not await self._say(writer, step):
                return
            if verb == "DATA" and step.startswith("3"):
                content = await reader.readuntil(b"\r\n.\r\n" if recipient else b".\r\n")
                step = self._step(mail, "CONTENT") if recipient else "554 5.5.1 nobody to send to"
                if step.startswith("2") or step in (NEVER, CUT):
                    self.taken.append(mail)
                    self.content.append(content)
                mail, recipient, carried = -1, False, carried + 1
                if not await self._say(writer, step):
                    return

    def _step(self, mail: int, verb: str) -> str:
        return self.script.get(mail, {}).get(verb, GOOD[verb])

    async def _say(self, writer: asyncio.StreamWriter, step: str) -> bool:
        if step == NEVER:
            await asyncio.Event().wait()
        if step != CUT:
            writer.write(f"{step}\r\n".encode())
        return step != CUT and not step.startswith("421")


@asynccontextmanager
async def opened(server: Server, **options: Any) -> AsyncGenerator[SmtpMailer]:
    """A mailer of the server."""
    connections = set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(asyncio.CancelledError):  # the end of the test
            await server.serve(reader, writer)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    times = SmtpTimeouts.same(timedelta(seconds=0.15))
    port = listener.sockets[0].getsockname()[1]
    made = SmtpOptions(host="127.0.0.1", port=port, sender="bell@tocsin.test", timeouts=times, connections=1)
    try:
        async with SmtpMailer(replace(made, **options)) as mailer:
            yield mailer
    finally:
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections)
        listener.close()


def mails(count: int) -> list[Mail]:
    """E-mails whose sizes tell their numbers."""
    return [Mail(recipient=f"d{n}@example.org", content=b"x" * (SIZE + n - 2) + b"\r\n") for n in range(count)]


async def outcomes(server: Server, count: int, **options: Any) -> list[Outcome]:
    """What becomes of so many e-mails, in turn."""
    found: list[Outcome] = []
    async with opened(server, **options) as mailer:
        await mailer.send_all(iter(mails(count)), found.append)
    return found


def codes(found: list[Outcome]) -> list[str]:
    return ["" if isinstance(one, Sent) else one.code for one in found]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("without_recipient", ["503 5.5.1 no valid recipients", "354 all the same"])
async def test_refusals_concern_the_email_alone(pipelining: bool, without_recipient: str) -> None:
    script = {
        1: {"MAIL": "451 4.3.0 later"},
        3: {"RCPT": "550 5.1.1 nobody"},
        4: {"RCPT": "450 4.2.0 greylisted"},
        5: {"DATA": "452 4.3.1 no room"},
        6: {"CONTENT": "554 5.7.1 spam"},
    }
    server = Server(script, pipelining=pipelining, without_recipient=without_recipient)
    found = await outcomes(server, 9)
    assert codes(found) == [
        "", "SMTP_451_4.3.0", "", "SMTP_550_5.1.1", "SMTP_450_4.2.0", "SMTP_452_4.3.1", "SMTP_554_5.7.1", "", ""
    ]  # fmt: skip
    assert not any(isinstance(one, Failure) and (one.unknown or one.away) for one in found)
    assert server.taken == [0, 2, 7, 8]
    assert server.connections == 1


@pytest.mark.parametrize("pipelining", [True, False])
async def test_the_first_digit_of_a_reply_counts(pipelining: bool) -> None:
    script = {
        0: {"MAIL": "200 ok", "RCPT": "252 may be", "DATA": "355 say it", "CONTENT": "200 queued"},
        1: {"DATA": "250 ok"},
        2: {"RCPT": "354 go on"},
        3: {"CONTENT": "354 go on"},
    }
    server = Server(script, pipelining=pipelining)
    found = await outcomes(server, 5)
    assert codes(found) == ["", "SMTP_250", "SMTP_354", "SMTP_354", ""]
    lost = [one for one in found if isinstance(one, Failure)]
    assert [one.unknown for one in lost] == [False, False, True]
    assert not any(one.hopeless or one.away for one in lost)


async def test_a_server_that_knows_no_ehlo_is_greeted_as_it_knows_it() -> None:
    log: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 old\r\n")
        replies = {"EHLO": "502 what", "HELO": "250 hello", "DATA": "354 go on", "QUIT": "221 bye"}
        while line := (await reader.readline()).decode().strip():
            log.append(line[:4])
            writer.write(f"{replies.get(line[:4], '250 ok')}\r\n".encode())
            if line == "DATA":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with SmtpMailer(SmtpOptions(host="127.0.0.1", port=port, sender="bell@tocsin.test")) as mailer:
            [mail] = mails(1)
            assert isinstance(await mailer.send(mail), Sent)
        await eventually(lambda: log[-1] == "QUIT")
    assert log == ["EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_commands_of_the_next_email_go_out_with_the_content_of_the_one_before() -> None:
    server = Server()
    assert codes(await outcomes(server, 3)) == [""] * 3
    assert server.log == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3, "QUIT"]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("end", [NEVER, CUT])
async def test_only_of_the_email_whose_content_is_out_the_outcome_is_unknown(pipelining: bool, end: str) -> None:
    server = Server({1: {"CONTENT": end}}, pipelining=pipelining)
    found = await outcomes(server, 4)
    assert codes(found) == ["", "SMTP_TIMEOUT" if end == NEVER else "SMTP_DISCONNECTED", "", ""]
    assert [isinstance(one, Failure) and one.unknown for one in found] == [False, True, False, False]
    assert server.taken == [0, 1, 2, 3]
    assert server.connections == 2


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_server_that_hangs_at_a_recipient_is_not_away(pipelining: bool) -> None:
    server = Server({0: {"RCPT": NEVER}, 2: {"RCPT": NEVER}}, pipelining=pipelining)
    found = await outcomes(server, 4)
    assert codes(found) == ["SMTP_TIMEOUT", "", "SMTP_TIMEOUT", ""]
    hangs = found[0]
    assert isinstance(hangs, Failure)
    assert hangs.message == "the mail server gave no answer to RCPT"
    assert not hangs.away
    assert not hangs.unknown
    assert server.taken == [1, 3]


@pytest.mark.parametrize("refusal", ["421 4.3.2 shutting down", CUT])
async def test_a_server_that_takes_none_at_all_is_away_and_asked_for_no_more(refusal: str) -> None:
    server = Server({0: {"MAIL": refusal}})
    [away] = await outcomes(server, 4)
    assert isinstance(away, Failure)
    assert away.away
    assert not away.unknown
    assert server.taken == []


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("own", [True, False])
async def test_a_connection_that_is_good_for_no_more_is_followed_by_another(pipelining: bool, own: bool) -> None:
    server = Server(pipelining=pipelining, per_connection=1000 if own else 2)
    found = await outcomes(server, 5, per_connection=2 if own else 1000)
    assert codes(found) == [""] * 5
    assert server.taken == [0, 1, 2, 3, 4]
    assert server.connections == 3


async def test_a_connection_that_died_while_it_rested_costs_no_attempt() -> None:
    server = Server()
    async with opened(server) as mailer:
        assert isinstance(await mailer.send(mails(1)[0]), Sent)
        server.log.clear()
        for writer in server.writers:
            writer.write(b"421 4.4.2 you rest too long\r\n")
            await writer.drain()
            writer.close()
        await eventually(lambda: all(writer.is_closing() for writer in server.writers))
        assert isinstance(await mailer.send(mails(1)[0]), Sent)
    assert server.taken == [0, 0]


async def test_content_arrives_as_it_is() -> None:
    rest = b"x" * SIZE
    content = b".begins\r\n..two\r\n.\r\nbare\nlone\r" + rest
    server = Server()
    async with opened(server) as mailer:
        assert isinstance(await mailer.send(Mail(recipient="a@b.example", content=content)), Sent)
    assert server.content == [b"..begins\r\n...two\r\n..\r\nbare\r\nlone\r\n" + rest + b"\r\n.\r\n"]


@pytest.mark.parametrize("offered", [True, False])
async def test_reports_of_its_fate_are_asked_for_where_the_server_makes_any(offered: bool) -> None:
    server = Server(reports=offered)
    content = b"x" * SIZE + b"\r\n"
    async with opened(server) as mailer:
        for envelope in ("invoice.a=b@c.example", ""):
            mail = Mail(recipient="a+b@d.example", envelope_id=envelope, content=content)
            assert isinstance(await mailer.send(mail), Sent)
    told = [line for line in server.lines if line.startswith(("MAIL", "RCPT"))]
    plain = ["MAIL FROM:<bell@tocsin.test> SIZE=1002", "RCPT TO:<a+b@d.example>"]
    asked = [
        f"{plain[0]} RET=HDRS ENVID=invoice.a+3Db@c.example",
        f"{plain[1]} NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@d.example",
    ]
    assert told == [*(asked if offered else plain), *plain]


def test_a_recipient_that_is_more_than_an_address_is_none() -> None:
    for bad in ("", "a@b> SIZE=1", "a b@c.d", "a@b\r\nDATA", "ü@b.example", "<a@b.c>"):
        with pytest.raises(ValueError, match="no command of SMTP"):
            Mail(recipient=bad, content=b"")


STEPS = st.fixed_dictionaries(
    {},
    optional={
        "MAIL": st.sampled_from(["451 4.3.0 later", "421 4.3.2 away", CUT]),
        "RCPT": st.sampled_from(["550 5.1.1 nobody", "450 4.2.0 later", "421 4.7.0 away", CUT]),
        "DATA": st.sampled_from(["452 4.3.1 no room", "421 away", CUT]),
        "CONTENT": st.sampled_from(["554 5.7.1 spam", "451 4.3.0 later", "421 away", CUT]),
    },
)


@given(
    st.dictionaries(st.integers(0, 7), STEPS), st.booleans(), st.integers(1, 9), st.sampled_from(["503 no", "354 go"])
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_server_does_each_outcome_is_what_became_of_the_email(
    script: dict[int, dict[str, str]], pipelining: bool, per_connection: int, without_recipient: str
) -> None:
    server = Server(script, pipelining, False, without_recipient, per_connection)
    found = asyncio.run(outcomes(server, 8))
    for number, outcome in enumerate(found):
        times = server.taken.count(number)
        if isinstance(outcome, Sent):
            assert times == 1
        else:
            assert times == (1 if outcome.unknown else 0)
            assert not (outcome.away and outcome.unknown)
    away = [isinstance(one, Failure) and one.away for one in found]
    assert True not in away[:-1]
    assert len(found) == 8 or away[-1]
    assert set(server.taken) <= set(range(len(found)))
