"""Every setting, made of the settings' own declarations; `python -m checks.settings_page` writes docs/settings.md."""

import sys
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cli.settings.config import CommonSettings, SandboxSettings, UploadSettings
from consumer.account.settings import ConsumerSettings
from producer.settings import ServerSettings
from providers.installed import installed
from providers.kit.settings import AccountSettings, is_credential, variable
from schemas.target import Target

_HEAD = """\
# Settings

Settings are environment variables, or lines of a file `.env` in the working folder; an empty one counts as not set.
`audience config` shows each with its value, where that comes from, and what is wrong; `audience config --env` prints
what a `.env` takes. Times are seconds and sizes bytes, where it does not say otherwise.
"""

_KAFKA = """
## Kafka's client

`KAFKA_<PROPERTY>` is a property of librdkafka, such as `KAFKA_SASL_USERNAME` for `sasl.username`: any but those that we
need for ourselves. [Rights and encryption](cluster.md) has those for SASL and TLS, [running it](running.md#memory)
those that bound memory. `KAFKA_HOME` is the folder of a Kafka that `audience up` starts instead of the one that it
fetches.
"""

_ACCOUNTS = """
## Accounts

Each account that `AUDIENCE_PROVIDERS` names has these. `<NAME>` is `FACEBOOK` for the account `facebook`, and
`FACEBOOK_EU` for `facebook/eu`, which falls back to the former but for what is marked *own*.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` hold for the platforms' own hosts, and for no other.
"""

_TITLES = (
    ("Every command", CommonSettings),
    ("The endpoint", ServerSettings),
    ("Consumers and replays", ConsumerSettings),
    ("The sandbox", SandboxSettings),
    ("Uploading files", UploadSettings),
)
_TABLE = ("| variable | default | meaning |", "|---|---|---|")


def settings_page() -> str:
    """Return the page in Markdown."""
    lines = [_HEAD.rstrip("\n")]
    for title, model in _TITLES:
        lines += ["", f"## {title}", "", *_TABLE, *_rows(model)]
    lines += [_KAFKA.rstrip("\n"), _ACCOUNTS, *_TABLE, *_account_rows()]
    for name, kind in installed().items():
        lines += ["", f"### {name}", "", *_TABLE, *_own_rows(name, kind.settings_type)]
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel]) -> Iterator[str]:
    for info in model.model_fields.values():
        yield _row(str(info.alias), info)


def _account_rows() -> Iterator[str]:
    """Yield what every account has; where its platform is, each platform says itself."""
    for field, info in AccountSettings.model_fields.items():
        if not info.is_required():
            yield _row(f"<NAME>_{field.upper()}", info, is_own=is_credential(AccountSettings, field))


def _own_rows(name: str, kind: type[AccountSettings]) -> Iterator[str]:
    for field, info in kind.model_fields.items():
        common = AccountSettings.model_fields.get(field)
        if common is None or _default_and_meaning(info) != _default_and_meaning(common):
            yield _row(variable(Target(name), field), info, is_own=is_credential(kind, field))


def _row(name: str, info: FieldInfo, *, is_own: bool = False) -> str:
    meaning = f"{info.description}{' *own*' if is_own else ''}".replace("<NAME>", "\\<NAME>").replace("|", "\\|")
    return f"| `{name}` | {_default(info)} | {meaning} |"


def _default_and_meaning(info: FieldInfo) -> tuple[str, str | None]:
    return _default(info), info.description


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default()
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return "" if default in (None, ()) else f"`{text}`"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
