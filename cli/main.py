"""The command line: `audience COMMAND`."""

import argparse
import asyncio
import errno
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import structlog
from rich.console import Console

import sandbox
from cli.arguments import ARGUMENTS
from cli.check.findings import Finding, check
from cli.config.listing import show_config
from cli.dead_letters.failures import Wanted
from cli.dead_letters.invalid_records import WantedReceipts, list_invalid
from cli.dead_letters.printing import Shown
from cli.dead_letters.reader import NoSuchLetterError, Post, list_letters, show_letters
from cli.demo.command import DemoFailedError, demo
from cli.pages.errors_page import errors_page
from cli.pages.platforms_page import platforms_page
from cli.pages.schemas import schema_lines
from cli.preview.explanation import explain
from cli.preview.requests import preview
from cli.printing.logs import PARTS, configure_logs
from cli.process import ThreadFailedError, end_with_parent, run
from cli.publish.command import publish
from cli.rejected.command import print_rejected
from cli.replay.command import asked_for, run_replay
from cli.replay.listing import Replays, list_replays, stop_replay
from cli.replay.run import Tools
from cli.replay.saved_replays import ReplayError
from cli.server_client import StatusError, status
from cli.settings.config import SANDBOXED, Config, ConfigError, account, load
from cli.settings.data_folder import InUseError
from cli.settings.env_file import EnvFileError
from cli.settings.environment import Environment, SeveralUpsError
from cli.settings.startup_check import checked_environment
from cli.settings.unknown_settings import MisnamedSettingError
from cli.undecodable import NotAllReadError
from cli.up.running import up
from cli.up.supervisor import LISTENS, PartFailedError
from cli.usage import UsageError
from consumer.account.runtime import Deployment
from consumer.account.service import consume, health_of
from ledger.receipts import keep_receipts
from producer import PublishError
from producer.request.users_json import PayloadError, parse_users
from producer.server import serving
from producer.settings import Address
from providers.installed import ProviderLoadError, installed
from providers.kit.proxies import shown
from schemas.avro.framing import RegistryUnavailableError
from schemas.near import did_you_mean
from schemas.records import AudienceBatch
from schemas.target import Target
from schemas.validity import invalidity, trimmed
from streams.client.errors import StreamError
from streams.cluster.readiness import Unready
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import ensure_topics, layout
from streams.processes import lifeline
from streams.processes.announcement import announce

log = structlog.get_logger()


SPARE_TO_STOP = 10.0
"""Seconds beyond its own limit that a replay may take to end."""


class CheckFailedError(Exception):
    """An account can't be used."""


EXPECTED = (
    ConfigError,
    SeveralUpsError,
    EnvFileError,
    MisnamedSettingError,
    PayloadError,
    PublishError,
    StreamError,
    PartFailedError,
    InUseError,
    DemoFailedError,
    CheckFailedError,
    NoSuchLetterError,
    NotAllReadError,
    ReplayError,
    StatusError,
    UsageError,
    RegistryUnavailableError,
    ProviderLoadError,
    ThreadFailedError,
    OSError,
)
"""What a person can act on by the message alone."""

Command = Callable[[argparse.Namespace, Environment], Coroutine[Any, Any, None]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit 1 with one sentence on standard error where it can't be."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    _check_command(given)
    try:
        options = _parser().parse_args(given)
    except ProviderLoadError as error:
        sys.exit(f"audience: {error}")
    configure_logs(_part(options), is_service=options.is_service)
    lifeline.watch(end_with_parent)
    try:
        environment = checked_environment(options, os.environ)
        limit = load(environment).consumer.shutdown_timeout if options.is_service else None
        asyncio.run(run(options.run(options, environment), limit))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except EXPECTED as error:
        sys.exit(f"audience {options.command}: {_told(error, options.command)}")
    except ExceptionGroup as group:
        first = _first(group)
        if not isinstance(first, EXPECTED):
            raise
        sys.exit(f"audience {options.command}: {_told(first, options.command)}")
    except asyncio.CancelledError:
        sys.exit(0 if options.is_service else 130)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Return the error that ended work of which several parts ran side by side."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _check_command(given: Sequence[str]) -> None:
    """Exit 2 where the first word is no command, with the nearest one."""
    names = [name for name, *_ in _COMMANDS]
    if given and not given[0].startswith("-") and given[0] not in names:
        near = did_you_mean(given[:1], names)
        sys.stderr.write(f"audience: there is no such command{near}; there are {', '.join(names)}\n")
        sys.exit(2)


def _part(options: argparse.Namespace) -> str | None:
    """Return what the lines of a service are of."""
    if options.command == "consume":
        return "ledger" if options.ledger else f"consumer {options.provider}"
    return PARTS.get(options.command)


def _told(error: Exception, command: str) -> str:
    """Return an error as a person reads it, with what to do about one of the system."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return f"{error.strerror}; end what listens there, or set {LISTENS.get(command, 'another port')}"
    about = f"{error.filename}: " if error.filename else ""
    return f"{about}{error.strerror or error}"


async def _serve(options: argparse.Namespace, environment: Environment) -> None:
    del options
    config = load(environment)
    await _prepare(config, config.targets)
    with _view_file(environment, config.server.listen) as view:
        async with serving(config.server, config.kafka, config.targets, config.names, config.framing, view) as server:
            log.info("Listening.", address=str(server.address), targets=[str(target) for target in config.targets])
            announce(str(server.address))
            await asyncio.gather(*server.following)


@contextmanager
def _view_file(environment: Environment, listen: Address) -> Iterator[Path]:
    """Yield a file that only this process uses: any port's is a new one, which is gone with the process."""
    folder = environment.data / "view"
    if listen.port:
        yield folder / f"{listen.host}-{listen.port}.sqlite"
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
        yield Path(own) / "view.sqlite"


async def _consume(options: argparse.Namespace, environment: Environment) -> None:
    config = load(environment)
    if options.ledger:
        await _keep_ledger(config)
        return
    served = account(options.provider, environment, config.common)
    kafka = config.kafka
    await _prepare(config, [served.target])
    if proxy := served.settings.used_proxy:
        log.info("Calls go through a proxy.", target=str(served.target), proxy=shown(proxy))
    log.info("Consuming.", target=str(served.target), base_url=served.settings.base_url)
    await consume(served, config.consumer, kafka, config.names, config.framing)


async def _keep_ledger(config: Config) -> None:
    await _prepare(config, ())
    log.info("Keeping the ledger.")

    def is_open(unready: Unready) -> AbstractAsyncContextManager[None]:
        return health_of(config.consumer, unready)

    await keep_receipts(config.kafka, config.names, config.framing, is_open)


async def _prepare(config: Config, targets: Sequence[Target]) -> None:
    """See to the topics, and say what is odd."""
    groups = [target.group_id(config.names.prefix) for target in targets]
    specs = layout(config.names, groups)
    for difference in await ensure_topics(config.kafka, specs, allow_weaker=config.common.allow_weaker_topics):
        log.warning("A topic differs from what it should be.", difference=str(difference))


async def _sandbox(options: argparse.Namespace, environment: Environment) -> None:
    del options
    settings = load(environment).sandbox
    behaviour = sandbox.SandboxOptions(limits=settings.limits, latency=settings.latency)
    runner = await sandbox.serve(settings.listen.host, settings.listen.port, behaviour)
    try:
        host, port = runner.addresses[0][:2]
        address = str(Address(host=host, port=port))
        log.info("The sandbox listens.", address=address)
        announce(address)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _up(options: argparse.Namespace, environment: Environment) -> None:
    del options
    await up(environment)


async def _demo(options: argparse.Namespace, environment: Environment) -> None:
    del options, environment
    await demo(os.environ, Console())


async def _preview(options: argparse.Namespace, environment: Environment) -> None:
    config = load(environment)
    targets = options.provider or config.common.providers or SANDBOXED
    accounts = [account(target, environment, config.common, made_up=True) for target in dict.fromkeys(targets)]
    parsed = parse_users(await asyncio.to_thread(_read, options.users))
    users = parsed.users
    if len(users) > config.server.max_users:
        raise PayloadError(f"users: expected at most {config.server.max_users}")
    batch = AudienceBatch(
        batch_id=str(UUID(int=0)),
        name=trimmed(options.name),
        type=options.type,
        disable_prefix=options.disable_prefix,
        users=users,
    )
    if fault := invalidity(batch):
        raise PayloadError(fault)
    if options.explain is not None:
        sys.stdout.writelines(explain(accounts, users, options.explain))
        return
    await preview(batch, accounts, sys.stdout.buffer.write, parsed.unknown)
    sys.stdout.flush()


async def _publish(options: argparse.Namespace, environment: Environment) -> None:
    config = load(environment)
    await publish(await asyncio.to_thread(_read, options.users), options, config)


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise PayloadError(f"{path}: {error.strerror}; name a file that holds a JSON array of users") from None


async def _check(options: argparse.Namespace, environment: Environment) -> None:
    config = load(environment)
    targets = dict.fromkeys(options.provider or config.targets)
    wrong, accounts = [], []
    for target in targets:
        try:
            accounts.append(account(target, environment, config.common))
        except ConfigError as error:
            wrong += [Finding(target, False, line) for line in str(error).splitlines()]
    findings = await check(accounts) + wrong
    for finding in sorted(findings, key=lambda finding: list(targets).index(finding.target)):
        print(f"{finding.target}: {finding.text}")  # noqa: T201 -- this is the command's output
    bad = {finding.target for finding in findings if not finding.is_good}
    if bad:
        raise CheckFailedError(f"{len(bad)} of {len(targets)} accounts can't be used")


async def _dead_letters(options: argparse.Namespace, environment: Environment) -> None:
    config = load(environment)
    post = Post(kafka=config.kafka, names=config.names, framing=config.framing)
    if options.action == "show":
        shown = Shown(users=options.users, is_masked=not options.unmasked)
        await show_letters(post, options.place, shown, as_json=options.json)
        return
    if options.invalid:
        await _invalid(options, config)
        return
    wanted = Wanted(
        providers=[str(target) for target in options.provider or ()],
        reasons=options.reason or (),
        session_id=options.session,
        age=options.age,
    )
    await list_letters(post, wanted, datetime.now(UTC), as_json=options.json)


async def _replays(options: argparse.Namespace, environment: Environment, config: Config) -> None:
    kafka = config.kafka if config.common.bootstrap_servers else None
    replays = Replays(data=environment.data, kafka=kafka, prefix=config.common.prefix)
    if options.action == "list" and not options.id:
        await list_replays(replays)
    elif options.action == "stop" and options.id:
        await stop_replay(replays, options.id, config.consumer.shutdown_timeout + SPARE_TO_STOP)
    else:
        raise UsageError("write `audience replay list`, or `audience replay stop REPLAY`")


async def _replay(options: argparse.Namespace, environment: Environment) -> None:
    configure_logs(least=logging.WARNING, is_service=False)
    config = load(environment)
    if options.action:
        await _replays(options, environment, config)
        return
    asked = asked_for(options, () if options.resume else options.provider or config.targets)
    await _prepare(config, [])
    tools = Tools(
        deployment=Deployment(
            kafka=config.kafka,
            names=config.names,
            framing=config.framing,
            log_id=await log_id(config.kafka, config.names.batches),
        ),
        settings=config.consumer,
        data=environment.data,
        account=lambda target: account(target, environment, config.common),
    )
    await run_replay(asked, tools)


async def _invalid(options: argparse.Namespace, config: Config) -> None:
    if options.provider or options.reason:
        raise UsageError("records that are not valid concern no account: leave out --provider and --reason")
    wanted = WantedReceipts(session_id=options.session, age=options.age)
    now = datetime.now(UTC)
    await list_invalid(config.kafka, config.names, config.framing, wanted, now, as_json=options.json)


async def _status(options: argparse.Namespace, environment: Environment) -> None:
    await status(options, load(environment))


async def _rejected(options: argparse.Namespace, environment: Environment) -> None:
    await print_rejected(options, load(environment))


async def _errors(options: argparse.Namespace, environment: Environment) -> None:
    del options, environment
    sys.stdout.write(errors_page(installed()))


async def _schema(options: argparse.Namespace, environment: Environment) -> None:
    del environment
    sys.stdout.writelines(f"{line}\n" for line in schema_lines(options.name, options.release, headers=options.headers))


async def _platforms(options: argparse.Namespace, environment: Environment) -> None:
    del options, environment
    sys.stdout.write(platforms_page(installed()))


async def _config(options: argparse.Namespace, environment: Environment) -> None:
    show_config(environment, as_json=options.json, as_env=options.env)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audience",
        description="Push one customer list to every marketing platform, and say what happened to each user.",
        epilog="Settings are environment variables, also read from .env; `audience config` shows them all.",
    )
    parser.add_argument("--version", action="version", version=f"audience {version('audience-api')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command, is_service, text in _COMMANDS:
        added = commands.add_parser(name, help=text.partition(".")[0], description=text)
        added.set_defaults(run=command, is_service=is_service)
        if name in ARGUMENTS:
            ARGUMENTS[name](added)
    return parser


_COMMANDS: Sequence[tuple[str, Command, bool, str]] = (
    (
        "serve",
        _serve,
        True,
        "Run the HTTP endpoint. Listens on AUDIENCE_LISTEN and writes uploads to the topic that the accounts in "
        "AUDIENCE_PROVIDERS read. Needs a Kafka: KAFKA_BOOTSTRAP_SERVERS, or the one of a running `audience up`.",
    ),
    (
        "consume",
        _consume,
        True,
        "Serve one account of a platform, or keep the ledger. Reads the topic as a consumer group of its own and sends "
        "users to the platform, by the account's credentials, such as FACEBOOK_ACCESS_TOKEN and "
        "FACEBOOK_AD_ACCOUNT_ID; with --ledger it writes a receipt for each record, which status and replay go by.",
    ),
    (
        "sandbox",
        _sandbox,
        True,
        "Run stand-ins of the platforms. They answer as Facebook, TikTok and Klaviyo do, hold members in memory, "
        "and fail on demand: see /_sandbox/members, /_sandbox/counters, /_sandbox/faults.",
    ),
    (
        "up",
        _up,
        True,
        "Run everything on this machine until Ctrl-C. Kafka unless KAFKA_BOOTSTRAP_SERVERS is set, ingestion, one "
        "consumer for each account, and the sandbox unless AUDIENCE_PROVIDERS names real accounts. A platform "
        "whose <NAME>_BASE_URL is set is called there instead of in the sandbox.",
    ),
    (
        "demo",
        _demo,
        False,
        "Upload 25,000 made-up users and compare. Runs everything in a folder of its own against the sandbox, "
        "whatever is configured, and exits 0 only if every platform holds exactly the users it can use.",
    ),
    (
        "preview",
        _preview,
        False,
        "Show the requests that an upload would become. Prints one JSON object for each, secrets hidden, and a last "
        "one that sums up who is usable and who is not, and why. Sends nothing; needs no credentials, no Kafka and "
        "no network. Without --provider and AUDIENCE_PROVIDERS it shows facebook, tiktok and klaviyo. With --explain "
        "it shows instead how each column of one user's row comes about, step by step, values masked.",
    ),
    (
        "publish",
        _publish,
        False,
        "Write users to the topic without the endpoint. Prints the batch id and where each record stands, once all "
        "in-sync replicas have them. Needs a Kafka: KAFKA_BOOTSTRAP_SERVERS, or the one of a running `audience up`; "
        "no account and no server. The same file with the same --batch-id may be published again.",
    ),
    (
        "check",
        _check,
        False,
        "Ask each platform whether it lets us in. Makes the look-up call with the account's token, says in the words "
        "of `audience errors` what is wrong and what to do, and exits 1 if anything is. Creates nothing.",
    ),
    (
        "status",
        _status,
        False,
        "Show how sessions, batches and accounts stand. Asks the server at AUDIENCE_LISTEN, or that of a running "
        "`audience up`, with the first token in AUDIENCE_API_TOKENS. Without a session it lists the newest ones, and "
        "the accounts; of a session it shows every run, what is missing or odd, and how far each account is.",
    ),
    (
        "rejected",
        _rejected,
        False,
        "List who was rejected, and what to correct. Asks the server as `status` does, for the newest run of a session "
        "or for one batch; of a user it shows the index in the request, the field and the reason, never a value. With "
        "--csv a spreadsheet can open it; --with-ids adds the edgeTagId of each, which it reads from the log in Kafka.",
    ),
    (
        "dead-letters",
        _dead_letters,
        False,
        "List what could not be delivered, and show why. Reads the topic of completions to its end and keeps nothing; "
        "the users are fetched from the log, where they stand for 30 days. Needs a Kafka: KAFKA_BOOTSTRAP_SERVERS, or "
        "the one of a running `audience up`.",
    ),
    (
        "replay",
        _replay,
        False,
        "Send again what is in the log. Shows what it would send, asks, and sends it to the accounts in a group of its "
        "own, beside live traffic and slower. Say what by --since, --session, --audience, --batch or --only; all that "
        "the log holds is --since 30d. Members stay exact however often that is done; attributes such as purchases are "
        "left out unless --with-attributes. `list` shows all replays, `stop` ends one in order. Needs a Kafka and a "
        "ledger: those of a running `audience up`, or "
        "KAFKA_BOOTSTRAP_SERVERS and `audience consume --ledger`.",
    ),
    (
        "errors",
        _errors,
        False,
        "Print what every error means. A page in Markdown: the words that completions, sync answers and logs use, "
        "what is done and what to do, and each platform's codes in these words. It is docs/errors.md.",
    ),
    (
        "schema",
        _schema,
        False,
        "Print a schema of what stands on the topics. Without a name it lists them; `audience schema AudienceBatch` "
        "prints the one by which other systems publish, for any Avro library.",
    ),
    (
        "platforms",
        _platforms,
        False,
        "Print what each platform gets of a user. A page in Markdown: for each field whether it goes, plain or hashed, "
        "by which rules and whose, and what a platform never gets. It is docs/platforms.md.",
    ),
    (
        "config",
        _config,
        False,
        "Show every setting. Prints its value, secrets hidden, where that comes from and what it means, and says by "
        "variable what is wrong, also with those of the accounts. With --env it prints what a .env takes.",
    ),
)
