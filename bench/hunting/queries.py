"""25 hunting queries with the DuckDB SQL that an engineer would write for the same rows.

The SQL may use what its author knows of the data (which columns hold null, that words are ASCII), as long as the rows
are the same: the bench checks them each time.
"""

from __future__ import annotations

from dataclasses import dataclass

from .tables import NOW

_HOUR = 36_000_000_000
_DAY = 24 * _HOUR


def _ago(days: float) -> int:
    return NOW - int(days * _DAY)


def _word(column: str, *words: str) -> str:
    """Whole words in any case: letters and digits make a word, as in `has`."""
    pattern = "|".join(words)
    return f"regexp_matches({column}, '(?i)(?:^|[^a-z0-9])(?:{pattern})(?:$|[^a-z0-9])')"


@dataclass(frozen=True, slots=True)
class Hunt:
    """One query: what it exercises, as KQL and as SQL."""

    name: str
    kind: str
    kql: str
    sql: str


HUNTS = (
    Hunt(
        "word in command line",
        "has",
        """DeviceProcessEvents
| where TimeGenerated > ago(7d)
| where ProcessCommandLine has "mimikatz"
| project TimeGenerated, DeviceName, AccountName, ProcessCommandLine""",
        f"""SELECT TimeGenerated, DeviceName, AccountName, ProcessCommandLine FROM DeviceProcessEvents
WHERE TimeGenerated > {_ago(7)} AND regexp_matches(ProcessCommandLine, '(?i)mimikatz')
AND {_word("ProcessCommandLine", "mimikatz")}""",
    ),
    Hunt(
        "credential dumping words",
        "has",
        """DeviceProcessEvents
| where ProcessCommandLine has_any ("sekurlsa", "lsadump", "procdump", "comsvcs")
| summarize Count = count(), Devices = dcount(DeviceId) by AccountName""",
        f"""SELECT AccountName, count(*), count(DISTINCT DeviceId) FROM DeviceProcessEvents
WHERE {_word("ProcessCommandLine", "sekurlsa", "lsadump", "procdump", "comsvcs")} GROUP BY AccountName""",
    ),
    Hunt(
        "shadow copies deleted",
        "has",
        """DeviceProcessEvents
| where ProcessCommandLine has_all ("vssadmin", "delete", "shadows")
| project TimeGenerated, DeviceName, ProcessCommandLine
| sort by TimeGenerated asc""",
        f"""SELECT TimeGenerated, DeviceName, ProcessCommandLine FROM DeviceProcessEvents
WHERE regexp_matches(ProcessCommandLine, '(?i)vssadmin')
AND {_word("ProcessCommandLine", "vssadmin")} AND {_word("ProcessCommandLine", "delete")}
AND {_word("ProcessCommandLine", "shadows")} ORDER BY TimeGenerated""",
    ),
    Hunt(
        "encoded PowerShell",
        "has",
        """DeviceProcessEvents
| where FileName =~ "powershell.exe"
| where ProcessCommandLine has "-enc" and not(ProcessCommandLine has "inventory_task")
| summarize Count = count(), First = min(TimeGenerated), Last = max(TimeGenerated) by DeviceName, AccountName""",
        """SELECT DeviceName, AccountName, count(*), min(TimeGenerated), max(TimeGenerated) FROM DeviceProcessEvents
WHERE lower(FileName) = 'powershell.exe' AND regexp_matches(ProcessCommandLine, '(?i)-enc(?:$|[^a-z0-9])')
AND NOT regexp_matches(ProcessCommandLine, '(?i)(?:^|[^a-z0-9])inventory_task(?:$|[^a-z0-9])')
GROUP BY DeviceName, AccountName""",
    ),
    Hunt(
        "downloads by address",
        "has",
        """CommonSecurityLog
| where RequestURL has "185.220.101.4" or RequestURL has_any ("pastebin", "telegram")
| summarize Requests = count(), Bytes = sum(SentBytes) by SourceIP
| sort by Requests desc, SourceIP asc
| take 50""",
        f"""SELECT SourceIP, count(*) AS requests, coalesce(sum(SentBytes), 0)::BIGINT FROM CommonSecurityLog
WHERE {_word("RequestURL", "185[.]220[.]101[.]4", "pastebin", "telegram")}
GROUP BY SourceIP ORDER BY requests DESC, SourceIP LIMIT 50""",
    ),
    Hunt(
        "scripted sign-ins",
        "has",
        """SigninLogs
| where TimeGenerated > ago(3d)
| where UserAgent hasprefix "python" and ResultType != "0"
| summarize Failures = count(), Users = dcount(UserPrincipalName) by IPAddress
| where Failures > 3""",
        f"""SELECT IPAddress, count(*) AS failures, count(DISTINCT UserPrincipalName) FROM SigninLogs
WHERE TimeGenerated > {_ago(3)} AND ResultType <> '0'
AND regexp_matches(UserAgent, '(?i)python') AND regexp_matches(UserAgent, '(?i)(?:^|[^a-z0-9])python') GROUP BY IPAddress HAVING failures > 3""",
    ),
    Hunt(
        "exact word",
        "has",
        """SecurityEvent
| where EventID == 4688 and CommandLine has_cs "Mimikatz"
| project TimeGenerated, Computer, SubjectUserName, CommandLine""",
        """SELECT TimeGenerated, Computer, SubjectUserName, CommandLine FROM SecurityEvent
WHERE EventID = 4688 AND contains(CommandLine, 'Mimikatz')
AND regexp_matches(CommandLine, '(?:^|[^a-zA-Z0-9])Mimikatz(?:$|[^a-zA-Z0-9])')""",
    ),
    Hunt(
        "neither word",
        "has",
        """SecurityEvent
| where EventID == 4688
| where CommandLine !has "powershell" and CommandLine !has "svchost"
| summarize count() by Computer, bin(TimeGenerated, 1d)""",
        f"""SELECT Computer, TimeGenerated - TimeGenerated % {_DAY}, count(*) FROM SecurityEvent
WHERE EventID = 4688 AND NOT {_word("CommandLine", "powershell", "svchost")} GROUP BY ALL""",
    ),
    Hunt(
        "text anywhere",
        "text",
        """DeviceProcessEvents
| where ProcessCommandLine contains "lsass" or InitiatingProcessFileName endswith ".com"
| where FolderPath startswith "c:\\\\windows"
| project DeviceName, AccountName, ProcessCommandLine""",
        """SELECT DeviceName, AccountName, ProcessCommandLine FROM DeviceProcessEvents
WHERE (regexp_matches(ProcessCommandLine, '(?i)lsass') OR lower(InitiatingProcessFileName) LIKE '%.com')
AND lower(FolderPath) LIKE 'c:\\windows%'""",
    ),
    Hunt(
        "failures, then success",
        "join",
        """SigninLogs
| where ResultType == "50126"
| summarize Failures = count() by UserPrincipalName, IPAddress
| join kind=inner (
    SigninLogs
    | where ResultType == "0"
    | summarize Successes = count(), Last = max(TimeGenerated) by UserPrincipalName, IPAddress
) on UserPrincipalName, IPAddress
| where Failures >= 1
| project UserPrincipalName, IPAddress, Failures, Successes, Last""",
        """WITH failed AS (SELECT UserPrincipalName, IPAddress, count(*) AS failures FROM SigninLogs
WHERE ResultType = '50126' GROUP BY ALL),
good AS (SELECT UserPrincipalName, IPAddress, count(*) AS successes, max(TimeGenerated) AS last FROM SigninLogs
WHERE ResultType = '0' GROUP BY ALL)
SELECT UserPrincipalName, IPAddress, failures, successes, last FROM failed JOIN good USING (UserPrincipalName, IPAddress)
WHERE failures >= 1""",
    ),
    Hunt(
        "indicators in the firewall log",
        "join",
        """ThreatIntelIndicators
| where Active and ConfidenceScore > 60
| summarize Confidence = max(ConfidenceScore) by NetworkIP
| join (CommonSecurityLog | where DeviceAction == "allow") on $left.NetworkIP == $right.DestinationIP
| summarize Hits = count(), Bytes = sum(ReceivedBytes), Confidence = max(Confidence) by SourceIP, DestinationIP""",
        """WITH ti AS (SELECT NetworkIP, max(ConfidenceScore) AS confidence FROM ThreatIntelIndicators
WHERE Active AND ConfidenceScore > 60 GROUP BY NetworkIP)
SELECT SourceIP, DestinationIP, count(*), sum(ReceivedBytes)::BIGINT, max(confidence)
FROM ti JOIN CommonSecurityLog ON NetworkIP = DestinationIP WHERE DeviceAction = 'allow'
GROUP BY SourceIP, DestinationIP""",
    ),
    Hunt(
        "new on the device",
        "join",
        """DeviceProcessEvents
| where TimeGenerated > ago(1d)
| summarize Count = count() by DeviceId, FileName
| join kind=leftanti (
    DeviceProcessEvents
    | where TimeGenerated between (ago(7d) .. ago(1d))
    | distinct DeviceId, FileName
) on DeviceId, FileName""",
        f"""WITH today AS (SELECT DeviceId, FileName, count(*) AS n FROM DeviceProcessEvents
WHERE TimeGenerated > {_ago(1)} GROUP BY ALL)
SELECT DeviceId, FileName, n FROM today ANTI JOIN (SELECT DISTINCT DeviceId, FileName FROM DeviceProcessEvents
WHERE TimeGenerated BETWEEN {_ago(7)} AND {_ago(1)}) USING (DeviceId, FileName)""",
    ),
    Hunt(
        "brute force with a logon",
        "join",
        """SecurityEvent
| where EventID == 4625
| summarize Failed = count() by TargetUserName, IpAddress
| where Failed > 1
| join kind=leftsemi (SecurityEvent | where EventID == 4624 and LogonType == 10) on TargetUserName""",
        """WITH failed AS (SELECT TargetUserName, IpAddress, count(*) AS n FROM SecurityEvent WHERE EventID = 4625
GROUP BY ALL HAVING n > 1)
SELECT * FROM failed SEMI JOIN (SELECT TargetUserName FROM SecurityEvent WHERE EventID = 4624 AND LogonType = 10)
USING (TargetUserName)""",
    ),
    Hunt(
        "processes of risky users",
        "join",
        """DeviceProcessEvents
| where TimeGenerated > ago(2d) and FileName in~ ("cmd.exe", "powershell.exe", "wmic.exe")
| extend UserPrincipalName = strcat(AccountName, "@contoso.com")
| join kind=leftouter (
    SigninLogs
    | where RiskLevelDuringSignIn == "high"
    | summarize RiskySignins = count() by UserPrincipalName
) on UserPrincipalName
| summarize Processes = count(), RiskySignins = max(RiskySignins) by UserPrincipalName, FileName""",
        f"""WITH risky AS (SELECT UserPrincipalName, count(*) AS signins FROM SigninLogs
WHERE RiskLevelDuringSignIn = 'high' GROUP BY UserPrincipalName),
started AS (SELECT AccountName || '@contoso.com' AS upn, FileName FROM DeviceProcessEvents
WHERE TimeGenerated > {_ago(2)} AND lower(FileName) IN ('cmd.exe', 'powershell.exe', 'wmic.exe'))
SELECT upn, FileName, count(*), max(signins) FROM started LEFT JOIN risky ON upn = UserPrincipalName
GROUP BY upn, FileName""",
    ),
    Hunt(
        "cities of failed sign-ins",
        "dynamic",
        """SigninLogs
| where ResultType in ("50126", "50053")
| extend City = tostring(LocationDetails.city), Country = tostring(LocationDetails.countryOrRegion)
| summarize Count = count() by City, Country""",
        """SELECT LocationDetails->>'$.city', LocationDetails->>'$.countryOrRegion', count(*) FROM SigninLogs
WHERE ResultType IN ('50126', '50053') GROUP BY ALL""",
    ),
    Hunt(
        "unmanaged devices",
        "dynamic",
        """SigninLogs
| where TimeGenerated > ago(4d)
| where tobool(DeviceDetail.isCompliant) == false and DeviceDetail.operatingSystem startswith "Windows"
| extend Latitude = toreal(LocationDetails.geoCoordinates.latitude)
| summarize Signins = count(), North = max(Latitude) by UserPrincipalName""",
        f"""SELECT UserPrincipalName, count(*), max((LocationDetails->>'$.geoCoordinates.latitude')::DOUBLE)
FROM SigninLogs WHERE TimeGenerated > {_ago(4)} AND (DeviceDetail->>'$.isCompliant')::BOOLEAN = false
AND lower(DeviceDetail->>'$.operatingSystem') LIKE 'windows%' GROUP BY UserPrincipalName""",
    ),
    Hunt(
        "failed access policies",
        "dynamic",
        """SigninLogs
| where TimeGenerated > ago(1d)
| mv-expand Policy = ConditionalAccessPolicies
| where tostring(Policy.result) == "failure"
| summarize Users = dcount(UserPrincipalName), Count = count() by Name = tostring(Policy.displayName)""",
        f"""SELECT policy->>'$.displayName' AS name, count(DISTINCT UserPrincipalName), count(*)
FROM (SELECT UserPrincipalName, unnest(from_json(ConditionalAccessPolicies, '["JSON"]')) AS policy FROM SigninLogs
WHERE TimeGenerated > {_ago(1)}) WHERE policy->>'$.result' = 'failure' GROUP BY name""",
    ),
    Hunt(
        "roles given",
        "dynamic",
        """AuditLogs
| where OperationName == "Add member to role" and Result == "success"
| mv-expand Target = TargetResources
| where tostring(Target.type) == "User"
| extend Actor = tostring(InitiatedBy.user.userPrincipalName), User = tostring(Target.userPrincipalName)
| mv-expand Property = Target.modifiedProperties
| where tostring(Property.displayName) == "Role.TemplateId"
| summarize Roles = dcount(tostring(Property.newValue)), Count = count() by Actor, User""",
        """WITH targets AS (SELECT InitiatedBy->>'$.user.userPrincipalName' AS actor,
unnest(from_json(TargetResources, '["JSON"]')) AS target FROM AuditLogs
WHERE OperationName = 'Add member to role' AND Result = 'success'),
properties AS (SELECT actor, target->>'$.userPrincipalName' AS who,
unnest(from_json(target->'$.modifiedProperties', '["JSON"]')) AS property FROM targets WHERE target->>'$.type' = 'User')
SELECT actor, who, count(DISTINCT property->>'$.newValue'), count(*) FROM properties
WHERE property->>'$.displayName' = 'Role.TemplateId' GROUP BY actor, who""",
    ),
    Hunt(
        "integrity and score",
        "dynamic",
        """DeviceProcessEvents
| where ActionType == "OpenProcess"
| extend Level = tostring(AdditionalFields.IntegrityLevel), Score = toint(AdditionalFields.Score)
| where Score > 90
| summarize Count = count(), Score = max(Score) by DeviceName, Level""",
        """SELECT DeviceName, coalesce(AdditionalFields->>'$.IntegrityLevel', '') AS level, count(*),
max((AdditionalFields->>'$.Score')::INTEGER) FROM DeviceProcessEvents
WHERE ActionType = 'OpenProcess' AND (AdditionalFields->>'$.Score')::INTEGER > 90 GROUP BY DeviceName, level""",
    ),
    Hunt(
        "sign-ins per hour",
        "make-series",
        """SigninLogs
| make-series Count = count() default=0 on TimeGenerated from ago(7d) to now() step 1h by AppDisplayName""",
        f"""WITH counted AS (SELECT AppDisplayName, (TimeGenerated - {_ago(7)}) // {_HOUR} AS slot, count(*) AS n FROM SigninLogs
WHERE TimeGenerated >= {_ago(7)} AND TimeGenerated < {NOW} GROUP BY ALL),
slots AS (SELECT AppDisplayName, slot FROM (SELECT DISTINCT AppDisplayName FROM counted), range(168) AS r(slot))
SELECT AppDisplayName, to_json(list(coalesce(n, 0) ORDER BY slot))::VARCHAR,
(SELECT to_json(list(strftime(make_timestamp(({_ago(7)} - 621355968000000000 + slot * {_HOUR}) // 10),
'%Y-%m-%dT%H:%M:%S.%f0Z') ORDER BY slot))::VARCHAR FROM range(168) AS r(slot))
FROM slots LEFT JOIN counted USING (AppDisplayName, slot) GROUP BY AppDisplayName""",
    ),
    Hunt(
        "bytes per hour and source",
        "make-series",
        """CommonSecurityLog
| where DeviceAction == "allow"
| make-series Bytes = sum(ReceivedBytes) default=0 on TimeGenerated from ago(7d) to now() step 4h by SourceIP
| project SourceIP, Bytes""",
        f"""WITH counted AS (SELECT SourceIP, (TimeGenerated - {_ago(7)}) // {4 * _HOUR} AS slot,
sum(ReceivedBytes)::BIGINT AS n FROM CommonSecurityLog WHERE DeviceAction = 'allow' AND TimeGenerated >= {_ago(7)}
AND TimeGenerated < {NOW} GROUP BY ALL),
slots AS (SELECT SourceIP, slot FROM (SELECT DISTINCT SourceIP FROM counted), range(42) AS r(slot))
SELECT SourceIP, to_json(list(coalesce(n, 0) ORDER BY slot))::VARCHAR
FROM slots LEFT JOIN counted USING (SourceIP, slot) GROUP BY SourceIP""",
    ),
    Hunt(
        "users per day and country",
        "make-series",
        """SigninLogs
| make-series Users = dcount(UserPrincipalName) default=0 on TimeGenerated from ago(7d) to now() step 1d by Location
| project Location, Users""",
        f"""WITH counted AS (SELECT Location, (TimeGenerated - {_ago(7)}) // {_DAY} AS slot,
count(DISTINCT UserPrincipalName) AS n FROM SigninLogs WHERE TimeGenerated >= {_ago(7)} AND TimeGenerated < {NOW}
GROUP BY ALL),
slots AS (SELECT Location, slot FROM (SELECT DISTINCT Location FROM counted), range(7) AS r(slot))
SELECT Location, to_json(list(coalesce(n, 0) ORDER BY slot))::VARCHAR
FROM slots LEFT JOIN counted USING (Location, slot) GROUP BY Location""",
    ),
    Hunt(
        "last sign-in of each user",
        "summarize",
        """SigninLogs
| where ResultType == "0"
| summarize arg_max(TimeGenerated, *) by UserPrincipalName""",
        """SELECT UserPrincipalName, TimeGenerated, UserId, AppDisplayName, IPAddress, Location, ResultType,
ResultDescription, ClientAppUsed, UserAgent, RiskLevelDuringSignIn, LocationDetails, DeviceDetail,
ConditionalAccessPolicies FROM SigninLogs WHERE ResultType = '0'
QUALIFY row_number() OVER (PARTITION BY UserPrincipalName ORDER BY TimeGenerated DESC) = 1""",
    ),
    Hunt(
        "addresses of a user",
        "summarize",
        """SigninLogs
| where TimeGenerated > ago(5d)
| summarize Addresses = dcount(IPAddress), Countries = make_set(Location, 100), First = min(TimeGenerated)
    by UserPrincipalName, bin(TimeGenerated, 1d)
| where Addresses > 5
| project UserPrincipalName, TimeGenerated, Addresses, array_length(Countries), First""",
        f"""SELECT UserPrincipalName, TimeGenerated - TimeGenerated % {_DAY} AS day, count(DISTINCT IPAddress) AS addresses,
count(DISTINCT Location), min(TimeGenerated) FROM SigninLogs WHERE TimeGenerated > {_ago(5)}
GROUP BY UserPrincipalName, day HAVING addresses > 5""",
    ),
    Hunt(
        "rare destinations",
        "summarize",
        """CommonSecurityLog
| where DeviceVendor == "Palo Alto Networks" and DestinationPort in (3389, 22)
| summarize Sources = dcount(SourceIP), Denied = countif(DeviceAction != "allow"), Sent = sum(SentBytes) by DestinationIP
| where Sources == 1
| sort by Sent desc, DestinationIP asc
| take 100""",
        """SELECT DestinationIP, count(DISTINCT SourceIP) AS sources, count(*) FILTER (DeviceAction <> 'allow'),
coalesce(sum(SentBytes), 0)::BIGINT AS sent FROM CommonSecurityLog WHERE DeviceVendor = 'Palo Alto Networks' AND DestinationPort IN (3389, 22)
GROUP BY DestinationIP HAVING sources = 1 ORDER BY sent DESC, DestinationIP LIMIT 100""",
    ),
)
