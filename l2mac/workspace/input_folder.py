"""Read a folder of the host as a run's input: regular files as bytes, with what is left out counted and named.

What lies in the file store is shown to a language model, so that files which usually hold secrets stay out, and so does
what nobody would have changed: version control's data, caches, environments. Nothing that is read is parsed, no link
is followed, nothing is written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from l2mac.errors import SettingsError
from l2mac.workspace.export import MANIFEST
from l2mac.workspace.host_folder import HostFolder, TooManyEntries, UnsafePath
from sandbox import PathError, SandboxPolicy, check_path, format_size

FLAG = "--input-dir"
VERSIONS, CACHES, SECRETS = (
    "version control",
    "caches and environments",
    "names that usually hold secrets",
)
LINKS, OWN, ASKED = "links and special files", "earlier results of l2mac", "--exclude"

_VERSIONS = frozenset(".git .hg .svn .bzr .jj _darcs cvs".split())
_CACHES = frozenset(
    "__pycache__ .venv venv .virtualenv virtualenv node_modules .tox .nox .mypy_cache .pytest_cache .ruff_cache .eggs"
    " .hypothesis .ipynb_checkpoints .import_linter_cache .pytype .cache .gradle .ds_store thumbs.db .coverage"
    " site-packages __pypackages__ .pdm-build .direnv .terraform".split()
)
_CACHED = ("*.pyc", "*.pyo", "*.egg-info", "*.swp", "*~")
_SECRETS = (
    ".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ovpn", "*.ppk",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".pypirc", ".npmrc", ".yarnrc.yml", ".pgpass",
    ".git-credentials", ".gitconfig", ".htpasswd", ".boto", ".s3cfg", ".dockercfg", "kubeconfig", "credentials",
    "credentials.json", "credentials.y*ml", "credentials.toml", "credentials.ini", "credentials.csv", "client_secret*",
    "service-account*.json", "service_account*.json", "secrets.json", "secrets.y*ml", "secrets.toml", "secrets.ini",
    "*.tfstate", "*.tfstate.*", "*.tfvars", ".vault-token", "vault_pass*", ".dockerconfigjson",
)  # fmt: skip
_SECRET_FOLDERS = frozenset(".aws .ssh .gnupg .kube .azure .gcloud".split())
_NO_SECRETS = (".env.example", ".env.sample", ".env.template", ".env.dist", "*.pub.key")
_PAGE = 4096
_FILL = 0.75
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Input:
    """The files that a run begins with, and what was left out: kind → paths, folders with `/` at their end."""

    contents: Mapping[str, bytes]
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say what there is and what is not, with a few names of each kind."""
        size = format_size(sum(map(len, self.contents.values())))
        out = "; ".join(f"{kind}: {_some(paths)}" for kind, paths in self.left_out.items())
        return f"{len(self.contents)} files, {size}" + (f"; left out: {out}" if out else "")


def check_outside(folder: Path, other: Path, field: str) -> None:
    """Make sure that what is written somewhere is not written into the input.

    Raises:
        SettingsError: It would be.
    """
    if other.resolve().is_relative_to(folder.resolve()):
        raise SettingsError(
            field,
            f"{other} lies in {FLAG}, into which nothing is written; name a place outside of it",
        )


def read_input(folder: Path, exclude: Sequence[str], policy: SandboxPolicy) -> Input:
    """Give the regular files below a folder, as far as a box of that policy takes them.

    Args:
        folder: Must not be a link itself.
        exclude: Patterns of what to leave out. One without `/` is held against each name, one with against paths from
            the folder on; `*` crosses folders, and what fits a folder leaves out all of it.
        policy: The box's limits.

    Raises:
        SettingsError: It cannot be read, has a name that the file store refuses, or is too much; says what to do.
    """
    out: dict[str, list[str]] = {}

    def skip(path: str, kind: str) -> bool:
        reason = _reason_to_leave_out(path, kind, exclude)
        if reason:
            out.setdefault(reason, []).append(path + "/" * (kind == "folder"))
        return bool(reason)

    try:
        with HostFolder(folder) as host:
            kinds = host.entries(skip)
            files = [path for path, kind in kinds.items() if kind == "file"]
            for root in _earlier_results(tuple(out.get(OWN, ()))):
                out.setdefault(OWN, []).append(root)
                files = [path for path in files if not path.startswith(root)]
            _refuse_names(files)
            contents = _read(host, files, folder, policy)
    except TooManyEntries as error:
        raise SettingsError(
            FLAG, f"{error}{_largest(Counter(map(_top, error.entries)))}"
        ) from error
    except UnsafePath as error:
        raise SettingsError(FLAG, str(error)) from error
    if not contents:
        raise SettingsError(
            FLAG, f"{folder} holds no file that could be taken ({Input({}, _sorted(out))})"
        )
    return Input(contents, _sorted(out))


def _read(
    host: HostFolder, files: Sequence[str], folder: Path, policy: SandboxPolicy
) -> dict[str, bytes]:
    sizes: Counter[str] = Counter(map(_top, files))
    if len(files) > policy.max_files:
        raise SettingsError(
            FLAG, f"{folder} holds {len(files)} files, {policy.max_files} at most{_largest(sizes)}"
        )
    contents: dict[str, bytes] = {}
    most, total = int(policy.disk_bytes * _FILL), 0
    weights: Counter[str] = Counter()
    for path in files:
        content = _content(host, path, policy.max_write_bytes)
        pages = -(-len(content) // _PAGE) * _PAGE
        weights[_top(path)] += pages
        total += pages
        if total > most:
            problem = f"{folder} takes more than {format_size(most)} in the box{_largest(weights, sized=True)}"
            raise SettingsError(FLAG, f"{problem}; or raise --disk, and --memory with it")
        contents[path] = content
    return contents


def _content(host: HostFolder, path: str, most_bytes: int) -> bytes:
    try:
        content = host.read(path, most_bytes)
    except UnsafePath as error:
        raise SettingsError(FLAG, f"{error}; leave it out with --exclude") from error
    if content is None:
        raise SettingsError(FLAG, f"{path!r} went away while the folder was read; try again")
    return content


def _refuse_names(files: Iterable[str]) -> None:
    refused = []
    for path in files:
        try:
            check_path(path)
        except PathError as error:
            refused.append(str(error))
    if refused:
        more = f"; and {len(refused) - _MOST_NAMED} more" if refused[_MOST_NAMED:] else ""
        listed = "; ".join(refused[:_MOST_NAMED])
        raise SettingsError(
            FLAG, f"{listed}{more}: rename such files or leave them out with --exclude"
        )


def _reason_to_leave_out(path: str, kind: str, exclude: Sequence[str]) -> str:
    name = path.rpartition("/")[2].casefold()
    if any(_fits(path, pattern.strip("/")) for pattern in exclude):
        return ASKED
    if kind in ("link", "special"):
        return LINKS
    if name in _VERSIONS:
        return VERSIONS
    if name in _CACHES or any(fnmatchcase(name, pattern) for pattern in _CACHED):
        return CACHES
    if name == MANIFEST:
        return OWN
    return SECRETS if _looks_secret(name, kind) else ""


def _looks_secret(name: str, kind: str) -> bool:
    if kind == "folder":
        return name in _SECRET_FOLDERS
    plain = any(fnmatchcase(name, pattern) for pattern in _NO_SECRETS)
    return not plain and any(fnmatchcase(name, pattern) for pattern in _SECRETS)


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path if "/" in pattern else path.rpartition("/")[2], pattern)


def _earlier_results(manifests: Iterable[str]) -> list[str]:
    """Give the folders that `l2mac run` exported to when it was not told where."""
    return [
        path.removesuffix(MANIFEST)
        for path in manifests
        if fnmatchcase(path, f"workspace/*/{MANIFEST}")
    ]


def _top(path: str) -> str:
    """Give the folder that a file counts for: two levels are enough to say where it is too much."""
    return "/".join(path.split("/")[:-1][:2])


def _largest(weights: Counter[str], *, sized: bool = False) -> str:
    named = ", ".join(
        f"{folder or '.'}/ ({format_size(weight) if sized else f'{weight} files'})"
        for folder, weight in weights.most_common(_MOST_NAMED)
    )
    return f"; the largest folders are {named}: leave out what is not needed with --exclude"


def _sorted(out: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {
        kind: tuple(sorted(out[kind]))
        for kind in (ASKED, VERSIONS, CACHES, SECRETS, LINKS, OWN)
        if kind in out
    }


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if paths[_MOST_NAMED:] else ""
    return ", ".join(paths[:_MOST_NAMED]) + more
