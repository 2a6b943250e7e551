"""What the cards say that no run can know: licences, sources, pay, intended use."""

import math
from dataclasses import dataclass

from accord.domain.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CardConfig:
    """Facts for the dataset card and the model card; what is left empty is said not to be stated."""

    license: str = ""
    """Of model and data set as they are given away, as hubs write it, such as apache-2.0."""
    language: str = "en"
    """Language of prompts and answers, as hubs write it."""
    base_model: str = ""
    """The base model as a hub names it; empty takes the config's name where it is one."""
    base_license: str = ""
    """Licence of the base model."""
    prompts_source: str = ""
    """Where the prompts come from."""
    prompts_license: str = ""
    """Their licence."""
    intended_use: str = ""
    """What the model is for; empty takes the purpose of the written policy."""
    limits: str = ""
    """What it is not for, beside the limits of the written policy."""
    pay_per_hour: float | None = None
    """Pay of an annotator for an hour of active time; none says that it is not known."""
    currency: str = "USD"
    """Of the pay."""
    contact: str = ""
    """Whom to ask: a role's address rather than a person's."""

    def __post_init__(self) -> None:
        if self.pay_per_hour is not None and not 0 <= self.pay_per_hour < math.inf:
            raise ConfigError(
                "card", [f"pay_per_hour is {self.pay_per_hour}; expected a number, 0 or more, or none"]
            )
