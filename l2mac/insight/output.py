"""Write reports to the host, whole or not at all, and never over other files."""

from pathlib import Path

from l2mac.errors import SettingsError
from l2mac.insight.markup import MARK
from l2mac.workspace.host_folder import HostFolder, UnsafePath

_MOST_BYTES = 64 * 1024 * 1024
_HEAD_BYTES = 200


def write_report(target: Path, text: str, *, option: str, force: bool) -> None:
    """Write a report over nothing or an earlier report; never follow a link.

    Args:
        target: The file.
        text: Its content.
        option: The user's option that names the file, for messages.
        force: Whether to replace a file that is not a report.

    Raises:
        SettingsError: Another file exists there, or the file cannot be written.
    """
    if target.name in ("", ".", ".."):
        raise SettingsError(option, f"{target} is not a file name. Choose another one.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with HostFolder(target.parent.resolve()) as folder:
            found = folder.read(target.name, _MOST_BYTES)
            if found is not None and not force and MARK.encode() not in found[:_HEAD_BYTES]:
                raise SettingsError(
                    option,
                    f"{target} exists and is not a report of l2mac. Choose another file or use"
                    " --force.",
                )
            content = text.encode("utf-8", "backslashreplace")
            folder.write(target.name, content, replace=found is not None)
    except UnsafePath as error:
        raise SettingsError(option, f"{target} {error.reason}") from error
    except OSError as error:
        raise SettingsError(option, f"{target} cannot be written: {error.strerror}") from error
