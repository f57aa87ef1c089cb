"""Which index and which hosts a run's settings come to."""

from pathlib import Path

import pytest

from l2mac.errors import SettingsError
from l2mac.runs.package_index import find_index
from l2mac.settings.settings import Settings
from sandbox import PackageIndex

PEM = b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"


def index_of(environment: dict[str, str] | None = None, **settings: object) -> PackageIndex:
    nowhere = {"PIP_CONFIG_FILE": "/nonexistent", **(environment or {})}
    return find_index(
        Settings.model_construct(**{**Settings.model_construct().model_dump(), **settings}), nowhere
    )


def test_default_package_index_is_pypi_with_its_file_host() -> None:
    index = index_of({"PIP_CERT": ""})
    assert index.url == "https://pypi.org/simple/"
    assert index.reach.hosts == {"pypi.org", "files.pythonhosted.org"}
    assert not index.reach.private_hosts


def test_settings_are_stronger_than_variables_and_those_than_pips_file(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.test/simple\n")
    variables = {"PIP_CONFIG_FILE": str(file)}
    assert index_of(variables).reach.hosts == {"file.test"}
    variables["PIP_INDEX_URL"] = "https://variable.test/simple"
    assert index_of(variables).reach.hosts == {"variable.test"}
    own = {
        "deps_index": "https://own.test/simple",
        "deps_hosts": "Files.test",
        "deps_private_hosts": "own.test",
    }
    reach = index_of(variables, **own).reach
    assert reach.hosts == {"own.test", "files.test"}
    assert reach.private_hosts == {"own.test"}


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@index.test/simple",
        "https://token@index.test/simple",
        "https://index.test/simple?token=secret",
        "http://index.test/simple",
        "https://index.test:8443/simple",
        "https://index.test:port/",
        "file:///srv/simple",
        "nonsense",
    ],
)
def test_unusable_index_url_is_refused_without_showing_its_secret(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        index_of({"PIP_INDEX_URL": url})
    assert "secret" not in str(caught.value)


def test_a_way_through_another_proxy_is_refused() -> None:
    with pytest.raises(SettingsError, match="HTTPS_PROXY"):
        index_of({"HTTPS_PROXY": "http://proxy.test:3128"})


def test_only_certificates_of_the_authorities_file_reach_the_sandbox(tmp_path: Path) -> None:
    file = tmp_path / "all.pem"
    file.write_bytes(b"# ours\n" + PEM + KEY)
    assert index_of(deps_ca_file=file).certificates == PEM
    file.write_bytes(KEY)
    with pytest.raises(SettingsError, match="no certificate"):
        index_of(deps_ca_file=file)
