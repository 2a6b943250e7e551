"""Who answers people who talk to live models: endpoints that are allowed, and models this process serves.

A project names addresses; which of them the server asks is for whoever runs it to say, host by host, so that
nobody who may make a project can have it ask other machines.
"""

import os
import queue
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from accord.domain.errors import AccordError, ConfigError, ModelAway
from accord.domain.messages import Message, Prompt
from accord.feedback.live import Live, LiveModel

if TYPE_CHECKING:  # an engine brings torch, which the server of judgments starts without
    from accord.rollouts.engine import Answering, Event

VARIABLE = "ACCORD_LIVE_HOSTS"
"""Environment variable in which workers find the hosts that may be asked, apart by spaces."""
SEED_BITS = 63


class SpeakersHere:
    """Asks endpoints at `hosts` (`HOST` or `HOST:PORT`), and the models of an engine by name."""

    def __init__(self, hosts: Sequence[str], *, engine: "Answering | None" = None):
        self.hosts, self.engine = tuple(hosts), engine

    def ask(self, model: LiveModel, messages: Sequence[Mapping[str, str]], live: Live) -> str:
        """One answer, in one try: people wait for it and can ask again."""
        if not model.url:
            return self._ask_here(model, messages, live)
        where = urlsplit(model.url)
        if where.netloc not in self.hosts and where.hostname not in self.hosts:
            raise ModelAway(
                f"model {model.name!r}: this server may not ask {where.netloc}; allow it by "
                f"accord serve --live-host {where.netloc}"
            )
        from accord.evaluation.judges.endpoint import ChatEndpoint, EndpointConfig

        try:
            config = EndpointConfig(
                model=model.called,
                url=model.url,
                key=os.environ.get(model.key, "") if model.key else "",
                max_tokens=live.max_tokens,
                temperature=float(live.temperature),
                timeout_s=float(live.timeout_s),
                tries=1,
            )
            return ChatEndpoint(config).ask(messages).text
        except AccordError as error:
            raise ModelAway(str(error)) from error

    def _ask_here(self, model: LiveModel, messages: Sequence[Mapping[str, str]], live: Live) -> str:
        if self.engine is None or model.called not in self.engine.models:
            raise ModelAway(
                f"model {model.name!r} has no url and is not served here; give it one, or serve it by "
                f"accord serve --store ... --model {model.called}=DIR"
            )
        import secrets

        from accord.rollouts.engine import Request
        from accord.rollouts.sampler import SamplingConfig

        heard: queue.Queue[Event] = queue.Queue()
        turns = tuple(Message(one["role"], one["content"]) for one in messages)
        asked = Request(
            model=model.called,
            prompt=Prompt(messages=turns),
            config=SamplingConfig(max_tokens=live.max_tokens, temperature=float(live.temperature)),
            seed=secrets.randbits(SEED_BITS),
        )
        text = ""
        try:
            ticket = self.engine.submit(asked, heard.put)
            try:
                while True:
                    event = heard.get(timeout=float(live.timeout_s))
                    if isinstance(event, AccordError):
                        raise event
                    text += event.text
                    if event.finish is not None:
                        return text
            finally:
                ticket.cancel()
        except queue.Empty:
            raise ModelAway(f"model {model.name!r}: nothing for {live.timeout_s:g} s") from None
        except AccordError as error:
            raise ModelAway(f"model {model.name!r}: {error}") from error


def speakers_of_environment(environment: Mapping[str, str] = os.environ) -> SpeakersHere:
    """What the server's command said, as its workers find it."""
    return SpeakersHere(environment.get(VARIABLE, "").split())


def checked_hosts(hosts: Sequence[str]) -> str:
    """Hosts as the environment holds them; raises `ConfigError` for what is none."""
    problems = []
    for host in hosts:
        try:
            parts = urlsplit(f"//{host}")
            is_host = parts.netloc == host and bool(parts.hostname) and "@" not in host
            _ = parts.port
        except ValueError:
            is_host = False
        if not is_host or any(letter.isspace() for letter in host):
            problems.append(f"{host!r}: expected HOST or HOST:PORT")
    if problems:
        raise ConfigError("--live-host", problems)
    return " ".join(hosts)
