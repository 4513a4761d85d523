"""pyinfra's connector `winrm`: `@winrm/HOST` in an inventory, on a command line, or made by the engine.

pyinfra loads every connector at every start and without a try, so this module imports nothing but pyinfra: what it does
stands in `carrier.py`. It raises `ConnectError` in `connect` and nothing else anywhere: a failure is
``(False, one line of stderr)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, TypedDict

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.base import BaseConnector, DataMeta
from pyinfra.connectors.util import CommandOutput

if TYPE_CHECKING:
    from opdeploy.windows.station import Station


class Data(TypedDict, total=False):
    winrm_hostname: str | None
    winrm_port: int | None
    winrm_user: str | None
    winrm_password: Any
    winrm_transport: str
    winrm_https: bool
    winrm_ca: str | None
    winrm_verify: bool
    opdeploy_inventory: str | None
    opdeploy_station: Any


class WinRMConnector(BaseConnector):
    """Windows over WinRM. `station` is the engine's where it made this host, else our own."""

    handles_execution = True
    data_cls = Data
    data_meta = {  # noqa: RUF012 - pyinfra's own form
        "winrm_hostname": DataMeta("Name or address, if it is not the host's name", None),
        "winrm_port": DataMeta("Port of the listener (5986, or 5985 without TLS)", None),
        "winrm_user": DataMeta("User to log in as", None),
        "winrm_password": DataMeta("Password, as opdeploy.model.Secret: a plain str is refused", None),
        "winrm_transport": DataMeta("ntlm, kerberos or basic", "ntlm"),
        "winrm_https": DataMeta("Over TLS", True),
        "winrm_ca": DataMeta("CA certificates (PEM) to trust instead of the system's", None),
        "winrm_verify": DataMeta("Check the server's certificate", True),
        "opdeploy_inventory": DataMeta("Folder of an opdeploy inventory that says how hosts are reached", None),
        "opdeploy_station": DataMeta("The engine's own station", None),
    }

    station: Station

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        if not name:
            raise ConnectError("write @winrm/HOST")
        yield f"@winrm/{name}", {"winrm_hostname": name}, ["@winrm"]

    def connect(self) -> None:
        from opdeploy.windows import carrier

        self.station = carrier.connected(self.host.name, self.data)

    def disconnect(self) -> None:
        if hasattr(self, "station"):
            self.station.close()

    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        """Calls for the agent, or any text as a PowerShell (or cmd) of its own beside it."""
        from opdeploy.windows import carrier

        if print_input:
            self.host.log(f">>> {command}")
        status, output = carrier.run(self.station, command, arguments)
        if print_output:
            for said in output:
                self.host.log(said.line)
        return status, output

    def put_file(
        self,
        filename_or_io: str | IO[Any],
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        """In pieces, hash-checked before it takes its name; bounded memory whatever its size."""
        from opdeploy.windows import carrier

        return carrier.put_file(self.station, filename_or_io, remote_filename, arguments, self.host.log)

    def get_file(
        self,
        remote_filename: str,
        filename_or_io: str | IO[Any],
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        """In pieces, its hash checked when it is whole."""
        from opdeploy.windows import carrier

        return carrier.get_file(self.station, remote_filename, filename_or_io, arguments, self.host.log)
