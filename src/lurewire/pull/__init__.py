"""`lurewire pull`: the content of a Sentinel workspace, here or on Azure, as files that deploy again."""

from lurewire.pull.client import ARM_URL, QUERY_URL, SignInFailed, Source, Unreadable
from lurewire.pull.files import Folder, FolderError
from lurewire.pull.service import Place, Report, pull

__all__ = [
    "ARM_URL",
    "QUERY_URL",
    "Folder",
    "FolderError",
    "Place",
    "Report",
    "SignInFailed",
    "Source",
    "Unreadable",
    "pull",
]
