"""What Windows and PowerShell answer when they refuse: message, .NET type, HRESULT, FullyQualifiedErrorId, category.

One function a kind of refusal. The ids are Windows' own; messages are the English ones and decide nothing.
"""

from __future__ import annotations

from typing import Any

DENIED = -2147024891  # 0x80070005


class Refused(Exception):
    """One call's failure, as the agent puts it into a reply."""

    def __init__(self, message: str, type: str, id: str, category: str, hresult: int = -2146233088) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.id = id
        self.category = category
        self.hresult = hresult

    def to_wire(self) -> dict[str, Any]:
        return {
            "message": self.message,
            "type": self.type,
            "hresult": self.hresult,
            "id": self.id,
            "category": self.category,
        }


def thrown(message: str) -> Refused:
    """`throw 'text'`: PowerShell makes the text itself the error's id."""
    return Refused(message, "System.Management.Automation.RuntimeException", message, "OperationStopped", -2146233087)


def dotnet(message: str, type: str, hresult: int = -2146233088) -> Refused:
    """An exception from a .NET method that PowerShell called: its id is the type's bare name."""
    return Refused(message, type, type.rpartition(".")[2], "NotSpecified", hresult)


def access_denied(what: str) -> Refused:
    return dotnet(f"Access to the path '{what}' is denied.", "System.UnauthorizedAccessException", DENIED)


def registry_denied() -> Refused:
    return dotnet("Requested registry access is not allowed.", "System.Security.SecurityException", -2146233078)


def file_not_found(path: str) -> Refused:
    return dotnet(f"Could not find file '{path}'.", "System.IO.FileNotFoundException", -2147024894)


def directory_not_found(path: str) -> Refused:
    text = f"Could not find a part of the path '{path}'."
    return dotnet(text, "System.IO.DirectoryNotFoundException", -2147024893)


def binding(message: str, id: str, command: str, type: str = "ParameterBindingException") -> Refused:
    return Refused(message, f"System.Management.Automation.{type}", f"{id},{command}", "InvalidArgument")


def cmdlet(name: str) -> str:
    """The class behind a compiled cmdlet, which stands in the error ids that it writes."""
    return f"Microsoft.PowerShell.Commands.{name.replace('-', '')}Command"


def no_command(name: str) -> Refused:
    text = f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program."
    type = "System.Management.Automation.CommandNotFoundException"
    return Refused(text, type, "CommandNotFoundException", "ObjectNotFound")


def local_accounts(message: str, id: str, name: str, category: str = "ObjectNotFound") -> Refused:
    """An error of the LocalAccounts module: the id is the exception's name without 'Exception'."""
    return Refused(message, f"Microsoft.PowerShell.Commands.{id}Exception", f"{id},{cmdlet(name)}", category)


def service(message: str, id: str, name: str, category: str = "ObjectNotFound") -> Refused:
    type = "Microsoft.PowerShell.Commands.ServiceCommandException"
    return Refused(message, type, f"{id},{cmdlet(name)}", category)


def cim(message: str, id: str, name: str, category: str, hresult: int = -2146233088) -> Refused:
    """An error of a CDXML cmdlet: the id is the provider's own code and the command's name."""
    return Refused(message, "Microsoft.Management.Infrastructure.CimException", f"{id},{name}", category, hresult)


def cim_not_found(kind: str, property: str, value: str, name: str) -> Refused:
    text = f"No {kind} objects found with property '{property}' equal to '{value}'. Verify the value of the property and retry."
    type = "Microsoft.PowerShell.Cmdletization.CmdletizationQueryException"
    return Refused(text, type, f"CmdletizationQuery_NotFound_{property},{name}", "ObjectNotFound")


def item(message: str, type: str, id: str, name: str, category: str, hresult: int = -2146233088) -> Refused:
    return Refused(message, type, f"{id},{cmdlet(name)}", category, hresult)


def unfit(verb: str, error: Exception) -> Refused:
    """Arguments of a shape that the verb's model can't take: PowerShell would convert them or fail, the lab always fails."""
    what = f"{type(error).__name__} in the lab's {verb}: its arguments have not the shape that opdeploy.calls gives them"
    return Refused(what, "System.ArgumentException", "lab.Unfit", "InvalidArgument", -2147024809)


def not_modelled(what: str) -> Refused:
    """Never a silent success: the lab says that it does not know."""
    return Refused(f"the lab has no model of {what}", "System.NotImplementedException", "lab.NotModelled", "NotImplemented")
