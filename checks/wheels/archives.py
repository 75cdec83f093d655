"""The sdist and the wheel: made of what git knows, the same by either way, with every file that is read."""

import ast
import hashlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from checks.wheels.commands import CheckFailedError, run

BUILD_LIMIT = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archives:
    """What was built, and the sources that it was built of, without what git ignores."""

    sources: Path
    sdist: Path
    wheel: Path
    wheel_of_sources: Path


def build(sources: Path, work: Path, environment: Mapping[str, str]) -> Archives:
    """Build an sdist, a wheel of the sdist, and a wheel of the sources. Raises CheckFailedError."""
    work.mkdir(exist_ok=True)
    for folder, options in (("dist", ()), ("direct", ("--wheel",))):
        command = (sys.executable, "-m", "build", "--outdir", work / folder, *options, sources)
        run(command, within=work, environment=environment, limit=BUILD_LIMIT)
    return Archives(
        sources=sources,
        sdist=next((work / "dist").glob("*.tar.gz")),
        wheel=next((work / "dist").glob("*.whl")),
        wheel_of_sources=next((work / "direct").glob("*.whl")),
    )


def copy_sources(root: Path, folder: Path) -> None:
    """Copy what is or may be committed: an old build folder would hand on modules that are no more."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True)  # noqa: S603 -- git's own
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)


def compare(archives: Archives) -> str:
    """Say what is in the wheel. Raises CheckFailedError where a file is missing, too many, or another one."""
    made, direct = contents(archives.wheel), contents(archives.wheel_of_sources)
    _same(made, direct, "the wheel of the sdist", "the wheel of the sources")
    inside = {name: digest for name, digest in made.items() if ".dist-info/" not in name}
    packaged = dict(sources_of_packages(archives.sources))
    _same(inside, packaged, "the wheel", "the packages")
    data = [name for name in inside if not name.endswith(".py")]
    for package in sorted(packages_read(archives.sources, packaged)):
        if not any(name.startswith(f"{package.replace('.', '/')}/") for name in data):
            raise CheckFailedError(f"files({package!r}) is read, but the wheel has no data there")
    return f"{len(inside)} files, {len(data)} of them data, are the sources', by way of the sdist and without"


def contents(wheel: Path) -> dict[str, str]:
    """Return the digest of each file in a wheel but the list of them."""
    with zipfile.ZipFile(wheel) as archive:
        names = (name for name in archive.namelist() if not name.endswith("/RECORD"))
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


def top_levels(sources: Path) -> list[str]:
    """Return the packages that pyproject.toml names."""
    settings = tomllib.loads((sources / "pyproject.toml").read_text(encoding="utf-8"))
    patterns: list[str] = settings["tool"]["setuptools"]["packages"]["find"]["include"]
    return [pattern.removesuffix("*") for pattern in patterns]


def sources_of_packages(sources: Path) -> Iterator[tuple[str, str]]:
    """Yield each file of the packages with its digest."""
    for package in top_levels(sources):
        for path in filter(Path.is_file, (sources / package).rglob("*")):
            yield path.relative_to(sources).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()


def packages_read(sources: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield the packages whose data our code reads by `files("…")`."""
    for name in (name for name in names if name.endswith(".py")):
        for node in ast.walk(ast.parse((sources / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "files":
                yield from (str(argument.value) for argument in node.args if isinstance(argument, ast.Constant))


def _same(left: Mapping[str, str], right: Mapping[str, str], one: str, other: str) -> None:
    differing = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
    if differing:
        listed = "\n".join(f"{name}{_where(name, left, right, one, other)}" for name in differing)
        raise CheckFailedError(f"{one} differs from {other}:\n{listed}")


def _where(name: str, left: Mapping[str, str], right: Mapping[str, str], one: str, other: str) -> str:
    if name in left and name in right:
        return ": another content"
    return f": only in {one if name in left else other}"
