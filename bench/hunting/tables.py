"""Sentinel-shaped tables, the same rows each time: every value is a hash of its row's number, computed in DuckDB.

Datetimes are ticks, dynamic values are JSON text, as the workspace keeps them. The rows lie in the order of their time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from lurewire.kql import Column, KqlType, Table, Tables

if TYPE_CHECKING:
    from pathlib import Path

#: Renewed when a row would come out otherwise.
VERSION = 1
#: 2026-11-22T00:00:00Z, the end of the data and what now() means.
NOW = 639_309_024_000_000_000
DAYS = 7
_DAY = 864_000_000_000

_PROCESSES = """['powershell.exe','cmd.exe','svchost.exe','chrome.exe','rundll32.exe','explorer.exe','msedge.exe',
 'reg.exe','net.exe','wmic.exe','schtasks.exe','certutil.exe','python.exe','Teams.exe','OUTLOOK.EXE','conhost.exe']"""
_COMMANDS = """['-NoProfile -ExecutionPolicy Bypass -File C:\\Scripts\\inventory_task.ps1','/c ping -n 1 files.contoso.com',
 '-k netsvcs -p -s Schedule','--type=renderer --lang=en-US --enable-features=Networking --device-scale-factor=1',
 'C:\\Windows\\System32\\shell32.dll,Control_RunDLL','/factory,{75dff2b7-6936-4c06-a8bb-676a7b00b24b} -Embedding',
 'query HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run /s','user /domain','process list brief /format:csv',
 '/create /tn Updater /tr C:\\ProgramData\\update.exe /sc daily','-urlcache -split -f http://cdn.contoso.com/pkg.bin',
 '-m http.server 8080','--single-argument https://teams.microsoft.com/l/meetup','/select outlook:calendar',
 '0xffffffff -ForceV1','Get-ChildItem -Recurse | Export-Csv C:\\Temp\\übersicht.csv']"""
_RARE = """['-enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQA -w hidden','sekurlsa::logonpasswords exit','lsadump::sam',
 'privilege::debug Mimikatz /quiet','-accepteula -ma lsass.exe C:\\Temp\\l.dmp','vssadmin delete shadows /all /quiet',
 'Invoke-Expression (New-Object Net.WebClient)','mimikatz_trunk.zip']"""
_AGENTS = """['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0 Safari/537.36',
 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148','python-requests/2.32.3',
 'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)','axios/1.7.2','okhttp/4.12.0']"""
_URLS = """['http://intranet.contoso.com/home','https://login.microsoftonline.com/common/oauth2/token',
 'https://download.windowsupdate.com/c/msdownload/update.cab','http://185.220.101.4/payload/stage2.ps1',
 'https://pastebin.com/raw/8fQ2','https://www.bing.com/search?q=weather','https://api.telegram.org/bot123/sendMessage',
 'https://raw.githubusercontent.com/tools/main/run.ps1']"""


def _pick(words: str, salt: int) -> str:
    return f"({words})[1 + (hash(i + {salt}) % len({words}))::INT]"


def _number(salt: int, below: int) -> str:
    return f"(hash(i + {salt}) % {below})::BIGINT"


def _time(rows: int) -> str:
    step = DAYS * _DAY // rows
    return f"({NOW - DAYS * _DAY} + i * {step} + {_number(1, step)})::BIGINT"


def _user(salt: int) -> str:
    return f"'user' || {_number(salt, 4000)} || '@contoso.com'"


def _address(salt: int) -> str:
    return f"'10.' || {_number(salt, 4)} || '.' || {_number(salt + 1, 20)} || '.' || {_number(salt + 2, 250)}"


def _outside(salt: int) -> str:
    return f"'185.220.' || {_number(salt, 60)} || '.' || {_number(salt + 1, 250)}"


@dataclass(frozen=True, slots=True)
class Generated:
    """A table: its share of all rows, and each column's name, type and SQL over the row's number `i`."""

    name: str
    share: float
    columns: tuple[tuple[str, KqlType, str], ...]


_S, _L, _I, _D, _J = KqlType.STRING, KqlType.LONG, KqlType.INT, KqlType.DATETIME, KqlType.DYNAMIC

_COMMAND = f"""CASE WHEN hash(i + 90) % 500 = 0 THEN {_pick(_PROCESSES, 31)} || ' ' || {_pick(_RARE, 32)}
 ELSE {_pick(_PROCESSES, 31)} || ' ' || {_pick(_COMMANDS, 33)} || ' /id:' || {_number(34, 100000)} END"""

GENERATED = (
    Generated(
        "DeviceProcessEvents",
        0.3,
        (
            ("TimeGenerated", _D, ""),
            ("DeviceId", _S, f"md5('device' || {_number(2, 3000)})"),
            ("DeviceName", _S, f"'host' || {_number(2, 3000)} || '.contoso.com'"),
            ("ActionType", _S, _pick("['ProcessCreated','ProcessCreated','ProcessCreated','OpenProcess']", 3)),
            ("FileName", _S, _pick(_PROCESSES, 31)),
            ("FolderPath", _S, f"'C:\\Windows\\System32\\' || {_pick(_PROCESSES, 31)}"),
            ("SHA256", _S, f"sha256('file' || {_number(4, 5000)})"),
            ("ProcessCommandLine", _S, _COMMAND),
            ("ProcessId", _L, _number(5, 60000)),
            ("AccountName", _S, f"'user' || {_number(6, 4000)}"),
            ("AccountDomain", _S, _pick("['contoso','CONTOSO','nt authority']", 7)),
            ("InitiatingProcessFileName", _S, _pick(_PROCESSES, 8)),
            ("InitiatingProcessCommandLine", _S, f"{_pick(_PROCESSES, 8)} || ' ' || {_pick(_COMMANDS, 9)}"),
            (
                "AdditionalFields",
                _J,
                f"""CASE WHEN hash(i + 10) % 10 = 0 THEN NULL ELSE '{{"IntegrityLevel":"'
                 || {_pick("['Low','Medium','High','System']", 11)} || '","Score":' || {_number(12, 100)}
                 || ',"Tags":["a","b"]}}' END""",
            ),
        ),
    ),
    Generated(
        "SigninLogs",
        0.2,
        (
            ("TimeGenerated", _D, ""),
            ("UserPrincipalName", _S, _user(2)),
            ("UserId", _S, f"md5('user' || {_number(2, 4000)})"),
            ("AppDisplayName", _S, f"'App ' || {_number(3, 60)}"),
            ("IPAddress", _S, _address(4)),
            ("Location", _S, _pick("['DE','US','FR','GB','NL','PL','BR','IN','RU','CN']", 7)),
            ("ResultType", _S, _pick("['0','0','0','0','0','0','50126','50053','50076','530003']", 8)),
            ("ResultDescription", _S, _pick("['','Invalid username or password','Account is locked','']", 8)),
            ("ClientAppUsed", _S, _pick("['Browser','Mobile Apps and Desktop clients','IMAP4','Other clients']", 9)),
            ("UserAgent", _S, _pick(_AGENTS, 10)),
            ("RiskLevelDuringSignIn", _S, _pick("['none','none','none','low','high']", 11)),
            (
                "LocationDetails",
                _J,
                f"""'{{"city":"' || {_pick("['Berlin','Paris','München','London','Austin']", 12)}
                 || '","state":"s' || {_number(13, 30)} || '","countryOrRegion":"' || {_pick("['DE','FR','GB','US']", 14)}
                 || '","geoCoordinates":{{"latitude":' || {_number(15, 90)} || '.5,"longitude":' || {_number(16, 90)}
                 || '.25}}}}'""",
            ),
            (
                "DeviceDetail",
                _J,
                f"""'{{"deviceId":"","operatingSystem":"' || {_pick("['Windows 10','Windows 11','Ios','Linux']", 17)}
                 || '","isCompliant":' || {_pick("['true','false']", 18)} || ',"isManaged":'
                 || {_pick("['true','false']", 19)} || ',"trustType":"Hybrid"}}'""",
            ),
            (
                "ConditionalAccessPolicies",
                _J,
                f"""'[{{"displayName":"Require MFA","result":"' || {_pick("['success','failure','notApplied']", 20)}
                 || '"}},{{"displayName":"Block legacy","result":"' || {_pick("['notApplied','success']", 21)}
                 || '"}},{{"displayName":"Compliant device","result":"' || {_pick("['reportOnlyFailure','success']", 22)}
                 || '"}}]'""",
            ),
        ),
    ),
    Generated(
        "SecurityEvent",
        0.25,
        (
            ("TimeGenerated", _D, ""),
            ("Computer", _S, f"'srv' || {_number(2, 800)} || '.contoso.com'"),
            ("EventID", _I, f"({_pick('[4624,4624,4624,4625,4634,4672,4688,4688,4720,7045]', 3)})::INTEGER"),
            ("TargetUserName", _S, f"'user' || {_number(4, 4000)}"),
            ("SubjectUserName", _S, f"'svc' || {_number(5, 300)}"),
            ("IpAddress", _S, _address(6)),
            ("LogonType", _I, f"({_pick('[2,3,3,3,5,7,10]', 9)})::INTEGER"),
            ("CommandLine", _S, _COMMAND),
            ("ParentProcessName", _S, f"'C:\\Windows\\System32\\' || {_pick(_PROCESSES, 10)}"),
        ),
    ),
    Generated(
        "CommonSecurityLog",
        0.2,
        (
            ("TimeGenerated", _D, ""),
            ("DeviceVendor", _S, _pick("['Palo Alto Networks','Fortinet','Check Point']", 2)),
            ("DeviceAction", _S, _pick("['allow','allow','allow','deny','drop']", 3)),
            ("SourceIP", _S, _address(4)),
            ("DestinationIP", _S, _outside(7)),
            ("DestinationPort", _I, f"({_pick('[80,443,443,443,53,22,3389,8080]', 9)})::INTEGER"),
            ("SentBytes", _L, f"CASE WHEN hash(i + 10) % 20 = 0 THEN NULL ELSE {_number(11, 100000)} END"),
            ("ReceivedBytes", _L, _number(12, 1000000)),
            ("RequestURL", _S, f"{_pick(_URLS, 13)} || '?s=' || {_number(14, 100000)}"),
            ("Message", _S, f"'session ' || {_number(15, 1000000)} || ' ' || {_pick(_URLS, 16)}"),
        ),
    ),
    Generated(
        "AuditLogs",
        0.045,
        (
            ("TimeGenerated", _D, ""),
            (
                "OperationName",
                _S,
                _pick("['Add member to role','Update user','Add app role assignment','Reset password']", 2),
            ),
            ("Result", _S, _pick("['success','success','failure']", 3)),
            ("CorrelationId", _S, f"md5('op' || {_number(4, 200000)})"),
            (
                "InitiatedBy",
                _J,
                f"""'{{"user":{{"userPrincipalName":"' || {_user(5)} || '","ipAddress":"' || {_address(6)} || '"}}}}'""",
            ),
            (
                "TargetResources",
                _J,
                f"""'[{{"id":"' || {_number(9, 5000)} || '","type":"User","userPrincipalName":"' || {_user(10)}
                 || '","modifiedProperties":[{{"displayName":"Role.DisplayName","newValue":"Reader"}},'
                 || '{{"displayName":"Role.TemplateId","newValue":"' || {_number(11, 40)} || '"}}]}},{{"id":"g'
                 || {_number(12, 300)} || '","type":"Group","modifiedProperties":[]}}]'""",
            ),
        ),
    ),
    Generated(
        "ThreatIntelIndicators",
        0.005,
        (
            ("TimeGenerated", _D, ""),
            ("IndicatorId", _S, "md5('ti' || i)"),
            ("NetworkIP", _S, _outside(2)),
            ("ConfidenceScore", _I, f"({_number(4, 100)})::INTEGER"),
            ("Active", KqlType.BOOL, "hash(i + 5) % 3 > 0"),
        ),
    ),
)

CATALOG = Tables(
    Table(
        table.name,
        tuple(Column(name, kind) for name, kind, _ in table.columns),
        table.name,
        tuple(name for name, _, _ in table.columns),
    )
    for table in GENERATED
)


def generate(folder: Path, rows: int) -> Path:
    """The database of `rows` rows in all tables together, made where the folder does not have it yet."""
    path = folder / f"hunting-{VERSION}-{rows}-{duckdb.__version__}.duckdb"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    making = path.with_suffix(".making")
    making.unlink(missing_ok=True)
    connection = duckdb.connect(str(making))
    for table in GENERATED:
        count = max(int(rows * table.share), 1)
        columns = ", ".join(f'{sql or _time(count)} AS "{name}"' for name, _, sql in table.columns)
        connection.execute(f'CREATE TABLE "{table.name}" AS SELECT {columns} FROM range({count}) AS r(i)')
    connection.close()
    making.rename(path)
    return path
