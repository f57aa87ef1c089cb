"""Write reports to the host: whole or not at all, over nothing that is somebody else's."""

from pathlib import Path

from l2mac.errors import SettingsError
from l2mac.insight.markup import MARK
from l2mac.workspace.host_folder import HostFolder, UnsafePath

_MOST_BYTES = 64 * 1024 * 1024
_HEAD_BYTES = 200


def write_report(target: Path, text: str, *, option: str, force: bool) -> None:
    """Write a report; what is there already has to be one, or `force` has to be given. Links are never followed.

    Raises:
        SettingsError: Something else is there, or the file cannot be written; names the option.
    """
    if target.name in ("", ".", ".."):
        raise SettingsError(option, f"{target} is no name of a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with HostFolder(target.parent.resolve()) as folder:
            found = folder.read(target.name, _MOST_BYTES)
            if found is not None and not force and MARK.encode() not in found[:_HEAD_BYTES]:
                raise SettingsError(
                    option,
                    f"{target} is there and is no report of l2mac; name another file, or give --force",
                )
            folder.write(
                target.name, text.encode("utf-8", "backslashreplace"), replace=found is not None
            )
    except UnsafePath as error:
        raise SettingsError(option, f"{target} {error.reason}") from error
    except OSError as error:
        raise SettingsError(option, f"{target} cannot be written: {error.strerror}") from error
