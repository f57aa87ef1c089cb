"""The input of a run: the regular files of a folder, and the excluded paths.

The file store is shown to a language model. Names that usually hold secrets are therefore excluded,
and so are files that no run would change: version control, caches, environments. No content is
parsed, no link is followed, nothing is written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from l2mac.errors import SettingsError, reason_of
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
    "__pycache__ .venv venv .virtualenv virtualenv node_modules .tox .nox .mypy_cache"
    " .pytest_cache .ruff_cache .eggs .hypothesis .ipynb_checkpoints .import_linter_cache .pytype"
    " .cache .gradle .ds_store thumbs.db .coverage site-packages __pypackages__ .pdm-build .direnv"
    " .terraform".split()
)
_CACHED = ("*.pyc", "*.pyo", "*.egg-info", "*.swp", "*~")
_SECRETS = (
    ".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx",
    "*.ovpn", "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc",
    ".pypirc", ".npmrc", ".yarnrc.yml", ".pgpass", ".git-credentials", ".gitconfig", ".htpasswd",
    ".boto", ".s3cfg", ".dockercfg", "kubeconfig", "credentials", "credentials.json",
    "credentials.y*ml", "credentials.toml", "credentials.ini", "credentials.csv", "client_secret*",
    "service-account*.json", "service_account*.json", "secrets.json", "secrets.y*ml",
    "secrets.toml", "secrets.ini", "*.tfstate", "*.tfstate.*", "*.tfvars", ".vault-token",
    "vault_pass*", ".dockerconfigjson",
)  # fmt: skip
_SECRET_FOLDERS = frozenset(".aws .ssh .gnupg .kube .azure .gcloud".split())
_NO_SECRETS = (".env.example", ".env.sample", ".env.template", ".env.dist", "*.pub.key")
_PAGE = 4096
_FILL = 0.75
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a run: path → content, and the excluded paths by kind.

    An excluded folder ends with `/` and stands for its whole content.
    """

    contents: Mapping[str, bytes]
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return number and size of the files, and a few excluded names of each kind."""
        size = format_size(sum(map(len, self.contents.values())))
        out = ", ".join(f"{kind} ({_some(paths)})" for kind, paths in self.left_out.items())
        excluded = f", excluded: {out}" if out else ""
        return f"{len(self.contents)} files, {size}{excluded}"


def check_outside(folder: Path, other: Path, field: str) -> None:
    """Check that a path to write to is not inside the input folder.

    Raises:
        SettingsError: The path is inside.
    """
    if other.resolve().is_relative_to(folder.resolve()):
        problem = f"{field} {other} is inside {FLAG}, which is only read. Name a path outside."
        raise SettingsError(field, problem)


def read_input(folder: Path, exclude: Sequence[str], policy: SandboxPolicy) -> Input:
    """Return the regular files below a folder, within the limits of a sandbox.

    Args:
        folder: Must not be a link itself.
        exclude: Patterns of paths to exclude. A pattern without `/` applies to every name, one with
            `/` to paths from the folder on. `*` crosses folders. A folder is excluded as a whole.
        policy: The limits of the sandbox.

    Raises:
        SettingsError: The folder is unreadable, too large or empty, or a name is refused.
    """
    out: dict[str, list[str]] = {}

    def skip(path: str, kind: str) -> bool:
        reason = _exclusion_of(path, kind, exclude)
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
            FLAG, f"{FLAG} is too large: {error}. {_largest(Counter(map(_top, error.entries)))}"
        ) from error
    except UnsafePath as error:
        raise SettingsError(FLAG, f"{FLAG} cannot be read: {error}.") from error
    if not contents:
        found = Input({}, _sorted(out))
        raise SettingsError(FLAG, f"{FLAG} {folder} has no usable files ({found}).")
    return Input(contents, _sorted(out))


def _read(
    host: HostFolder, files: Sequence[str], folder: Path, policy: SandboxPolicy
) -> dict[str, bytes]:
    sizes: Counter[str] = Counter(map(_top, files))
    if len(files) > policy.max_files:
        problem = f"{FLAG} {folder} has {len(files)} files, more than {policy.max_files}."
        raise SettingsError(FLAG, f"{problem} {_largest(sizes)}")
    contents: dict[str, bytes] = {}
    most, total = int(policy.disk_bytes * _FILL), 0
    weights: Counter[str] = Counter()
    for path in files:
        content = _content(host, path, policy.max_write_bytes)
        pages = -(-len(content) // _PAGE) * _PAGE
        weights[_top(path)] += pages
        total += pages
        if total > most:
            problem = f"{FLAG} {folder} needs more than {format_size(most)} in the sandbox."
            largest = _largest(weights, sized=True, also=", or raise --disk and --memory")
            raise SettingsError(FLAG, f"{problem} {largest}")
        contents[path] = content
    return contents


def _content(host: HostFolder, path: str, most_bytes: int) -> bytes:
    try:
        content = host.read(path, most_bytes)
    except UnsafePath as error:
        problem = f"{FLAG} has an unusable file: {error}. Exclude the file with --exclude."
        raise SettingsError(FLAG, problem) from error
    if content is None:
        problem = f"{FLAG} changed while it was read: {path!r} is missing. Repeat the command."
        raise SettingsError(FLAG, problem)
    return content


def _refuse_names(files: Iterable[str]) -> None:
    refused = []
    for path in files:
        try:
            check_path(path)
        except PathError as error:
            refused.append(reason_of(error))
    if refused:
        more = f", and {len(refused) - _MOST_NAMED} more" if refused[_MOST_NAMED:] else ""
        listed = ", ".join(refused[:_MOST_NAMED])
        problem = f"{FLAG} has names that the file store refuses: {listed}{more}."
        raise SettingsError(FLAG, f"{problem} Rename such files or exclude them with --exclude.")


def _exclusion_of(path: str, kind: str, exclude: Sequence[str]) -> str:
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
    """Return the folders that `l2mac run` exported to by default."""
    return [
        path.removesuffix(MANIFEST)
        for path in manifests
        if fnmatchcase(path, f"workspace/*/{MANIFEST}")
    ]


def _top(path: str) -> str:
    """Return the folder that a file counts for: its first two levels."""
    return "/".join(path.split("/")[:-1][:2])


def _largest(weights: Counter[str], *, sized: bool = False, also: str = "") -> str:
    named = []
    for folder, weight in weights.most_common(_MOST_NAMED):
        amount = format_size(weight) if sized else f"{weight} files"
        named.append(f"{folder or '.'}/ ({amount})")
    largest = ", ".join(named)
    return f"The largest folders are {largest}. Exclude unneeded folders with --exclude{also}."


def _sorted(out: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {
        kind: tuple(sorted(out[kind]))
        for kind in (ASKED, VERSIONS, CACHES, SECRETS, LINKS, OWN)
        if kind in out
    }


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if paths[_MOST_NAMED:] else ""
    return ", ".join(paths[:_MOST_NAMED]) + more
