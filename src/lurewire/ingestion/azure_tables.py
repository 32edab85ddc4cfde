"""The tables of Azure's own that the Logs Ingestion API writes to; into all others only Azure's services write.

Source: the column "API" of https://learn.microsoft.com/azure/azure-monitor/reference/tables-features, whole, as it was on
2026-09-28. The page grows: what it names later, the setting `ingestion.tables` adds.
"""

from __future__ import annotations

WRITABLE: frozenset[str] = frozenset(
    """
    ABAPAuditLog ABAPAuthorizationDetails ABAPChangeDocsLog ABAPUserDetails ADAssessmentRecommendation
    ADSecurityAssessmentRecommendation ASimAgentEventLogs ASimAlertEventLogs ASimAssetEntityLogs ASimAuditEventLogs
    ASimAuthenticationEventLogs ASimDhcpEventLogs ASimDnsActivityLogs ASimFileEventLogs ASimNetworkSessionLogs
    ASimProcessEventLogs ASimRegistryEventLogs ASimUserManagementActivityLogs ASimWebSessionLogs AWSALBAccessLogs
    AWSCloudTrail AWSCloudWatch AWSELBFlowLogs AWSGuardDuty AWSNLBAccessLogs AWSNetworkFirewallAlert
    AWSNetworkFirewallFlow AWSNetworkFirewallTls AWSRoute53Resolver AWSS3ServerAccess AWSSecurityHubFindings AWSVPCFlow
    AWSWAF Anomalies AzureAssessmentRecommendation AzureMetricsV2 CommonSecurityLog CrowdStrikeAlerts
    CrowdStrikeAuditEvents CrowdStrikeCases CrowdStrikeDetections CrowdStrikeHosts CrowdStrikeIncidents
    CrowdStrikeVulnerabilities DeviceTvmSecureConfigurationAssessmentKB DeviceTvmSoftwareVulnerabilitiesKB
    DnsAuditEvents Event ExchangeAssessmentRecommendation ExchangeOnlineAssessmentRecommendation GCPApigee GCPAuditLogs
    GCPCDN GCPCloudRun GCPCloudSQL GCPComputeEngine GCPDNS GCPFirewallLogs GCPIAM GCPIDS GCPMonitoring GCPNAT
    GCPNATAudit GCPResourceManager GCPVPCFlow GKEAPIServer GKEApplication GKEAudit GKEControllerManager GKEHPADecision
    GKEScheduler GoogleCloudSCC GoogleWorkspaceReports IlumioInsights OTelLogs QualysKnowledgeBase
    Rapid7InsightVMCloudAssets Rapid7InsightVMCloudVulnerabilities SCCMAssessmentRecommendation
    SCOMAssessmentRecommendation SPAssessmentRecommendation SQLAssessmentRecommendation SecurityEvent
    SentinelAlibabaCloudAPIGatewayLogs SentinelAlibabaCloudVPCFlowLogs SentinelAlibabaCloudWAFLogs
    SfBAssessmentRecommendation SfBOnlineAssessmentRecommendation SharePointOnlineAssessmentRecommendation Syslog
    ThreatIntelIndicators ThreatIntelObjects ThreatIntelligenceIndicator UCClient UCClientReadinessStatus
    UCClientUpdateStatus UCDOAggregatedStatus UCDOStatus UCDeviceAlert UCServiceUpdateStatus UCUpdateAlert
    WindowsClientAssessmentRecommendation WindowsEvent WindowsServerAssessmentRecommendation
    """.split()  # noqa: SIM905 - names read better as a paragraph
)
ALL = "*"
"""In the setting: every table of Azure, to fill by hand what here no service fills."""


class WritableTables:
    """Which tables of Azure a rule may write to: those that Azure has, and `more`."""

    def __init__(self, more: list[str]) -> None:
        self._all = ALL in more
        self._names = WRITABLE | frozenset(more)

    def __contains__(self, name: str) -> bool:
        return self._all or name in self._names
