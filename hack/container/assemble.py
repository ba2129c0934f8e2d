"""Collects what the programs need to run into an empty root file system; the Dockerfile runs this.

`python3 assemble.py VENV SBOM TARGET` needs nothing but Python's own library, in a Debian image with `ldd`
and `dpkg`. What ends up in TARGET: the virtual environment, the interpreter, its library without the parts
for development, the shared libraries that any of these is linked to, certificates, and the users' names.
The SBOM gets the Debian packages that files were taken from; their records stay where scanners look.
"""

import compileall
import json
import os
import py_compile
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

# Parts of Python's library that only people at a terminal, tests and builds use.
_FOLDERS = {
    "__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data",
    "site-packages", "dist-packages",
}  # fmt: skip
_MODULES = re.compile(r"^(_tkinter|readline|_curses|_curses_panel|_dbm|_gdbm|_test\w*|_xxtestfuzz|xx\w*)\.")
# Twelve hundred generated modules of which hardly any is ever imported; as bytecode they take 50 MB.
_NOT_COMPILED = re.compile(r"/kubernetes/(aio/)?client/(models|api)/")
_CONFIGURATION = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/lib/ssl", "/etc/os-release")
_USERS = "root:x:0:0:root:/:/sbin/nologin\nnightcrawler:x:65532:65532:nightcrawler:/:/sbin/nologin\n"
_GROUPS = "root:x:0:\nnightcrawler:x:65532:\n"
_SBOM = "usr/share/doc/nightcrawler/sbom.cdx.json"
_WORLD_WRITABLE = 0o1777


def main() -> None:
    """Collect it all."""
    venv, sbom, target = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    target.mkdir()
    used_files = list(_collect(venv, target))
    _configure(target)
    packages = _packages(used_files)
    _keep_records(packages, target)
    _write_sbom(sbom, packages, target / _SBOM)
    compileall.compile_dir(
        target,
        maxlevels=20,
        quiet=2,
        rx=_NOT_COMPILED,
        stripdir=str(target),
        prependdir="/",
        # Nobody changes a source in an image, so none is looked at to see whether it has changed.
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _collect(venv: Path, target: Path) -> Iterator[Path]:
    """Copy programs and libraries; gives the files that came from the system."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if (link := Path("/") / name).is_symlink():  # Debian's merged /usr
            (target / name).symlink_to(link.readlink())
    shutil.copytree(venv, target / venv.relative_to("/"), symlinks=True, ignore=_no_bytecode)
    python = Path(sys.executable)
    while True:
        yield _copy(python, target)
        if not python.is_symlink():
            break
        python = python.parent / python.readlink()
    library = Path(sysconfig.get_path("stdlib"))
    # Debian has it in two packages.
    yield from (library / "os.py", library / "asyncio" / "__init__.py")
    copied = target / _place(library).relative_to("/")
    shutil.copytree(library, copied, symlinks=True, ignore=_not_needed)
    for file in sorted(_libraries([python, *_modules(venv), *_modules(copied)])):
        if not file.is_relative_to(venv):
            yield _copy(file, target, follow=True)
    for name in _CONFIGURATION:
        source = Path(name)
        if source.is_dir():
            shutil.copytree(source, target / _place(source).relative_to("/"), symlinks=True)
        else:
            _copy(source, target, follow=True)
        yield source


def _place(path: Path) -> Path:
    """Where a file really is, its own name kept: links among the folders above are followed."""
    return path.parent.resolve() / path.name


def _copy(source: Path, target: Path, *, follow: bool = False) -> Path:
    place = target / _place(source).relative_to("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, place, follow_symlinks=follow)
    return source


def _no_bytecode(_: str, names: list[str]) -> Iterable[str]:
    return [name for name in names if name == "__pycache__"]


def _not_needed(_: str, names: list[str]) -> Iterable[str]:
    return [name for name in names if name in _FOLDERS or name.startswith("config-") or _MODULES.match(name)]


def _modules(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.so*")


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """The shared libraries that programs are linked to, the loader among them."""
    ended = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False)
    missing = re.findall(r"(\S+) => not found", ended.stdout)
    if missing:
        sys.exit(f"libraries are missing in the build's image: {', '.join(sorted(set(missing)))}")
    return {Path(found) for found in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", ended.stdout, re.MULTILINE)}


def _configure(target: Path) -> None:
    etc = target / "etc"
    (etc / "passwd").write_text(_USERS)
    (etc / "group").write_text(_GROUPS)
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    if Path("/etc/ld.so.cache").exists():  # it names what is outside of the loader's own folders
        shutil.copy2("/etc/ld.so.cache", etc / "ld.so.cache")
    (target / "tmp").mkdir()
    (target / "tmp").chmod(_WORLD_WRITABLE)
    for folder, _, _ in os.walk(target):
        if not os.path.islink(folder) and folder != str(target / "tmp"):
            Path(folder).chmod(stat.S_IMODE(os.stat(folder).st_mode) & ~0o022)


def _packages(files: Iterable[Path]) -> dict[str, str]:
    """The record of each Debian package that a file was taken from, by the package's name."""
    owners: set[str] = set()
    for file in files:
        # dpkg knows files by the paths of before /usr was merged, or by those of after.
        for path in {str(file), str(file.resolve()), str(file.resolve()).removeprefix("/usr")}:
            found = _ask("dpkg-query", "--search", path)
            named = [line.split(": ")[0].split(", ") for line in found.splitlines()]
            owners |= {name.split(":")[0] for names in named for name in names}
    return {name: record for name in sorted(owners) if (record := _ask("dpkg-query", "--status", name))}


def _ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _keep_records(packages: dict[str, str], target: Path) -> None:
    """Where scanners look for the packages of images that have no package manager."""
    folder = target / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for name, record in packages.items():
        (folder / name).write_text(record)


def _write_sbom(source: Path, packages: dict[str, str], target: Path) -> None:
    """The SBOM of the Python packages, with the Debian packages beside them."""
    sbom = json.loads(source.read_text())
    for name, record in packages.items():
        version = dict(re.findall(r"^(Version|Architecture): (\S+)", record, re.MULTILINE))
        purl = f"pkg:deb/debian/{name}@{version['Version']}?arch={version['Architecture']}"
        described = {"name": name, "version": version["Version"], "purl": purl}
        sbom.setdefault("components", []).append({"type": "library", "bom-ref": purl, **described})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(sbom, indent=1) + "\n")


if __name__ == "__main__":
    main()
