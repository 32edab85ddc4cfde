"""The tables of Azure's own that the Logs Ingestion API writes to; into all others only Azure's services write.

Source: https://learn.microsoft.com/azure/azure-monitor/reference/tables-features and the list of supported tables in
https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview. Only a part of the names was compared with
those pages, and they grow: a table may be missing here, and the setting `ingestion.tables` adds it.
"""

from __future__ import annotations

WRITABLE: frozenset[str] = frozenset(
    """
    ABAPAuditLog ABAPAuthorizationDetails ABAPChangeDocsLog ABAPUserDetails ADAssessmentRecommendation
    ADSecurityAssessmentRecommendation ASimAuditEventLogs ASimAuthenticationEventLogs ASimDhcpEventLogs
    ASimDnsActivityLogs ASimFileEventLogs ASimNetworkSessionLogs ASimProcessEventLogs ASimRegistryEventLogs
    ASimUserManagementActivityLogs ASimWebSessionLogs AWSALBAccessLogs AWSCloudTrail AWSCloudWatch AWSEKS AWSELBFlowLogs
    AWSGuardDuty AWSNLBAccessLogs AWSNetworkFirewallAlert AWSNetworkFirewallFlow AWSNetworkFirewallTls AWSRoute53Resolver
    AWSS3ServerAccess AWSSecurityHubFindings AWSVPCFlow AWSWAF Anomalies AzureAssessmentRecommendation AzureMetricsV2
    CommonSecurityLog CrowdStrikeAPIActivityAudit CrowdStrikeAlerts CrowdStrikeAuthActivityAudit
    CrowdStrikeCSPMIOAStreaming CrowdStrikeCSPMSearchStreaming CrowdStrikeCases CrowdStrikeCustomerIOC
    CrowdStrikeDetections CrowdStrikeHosts CrowdStrikeIncidents CrowdStrikeReconNotificationSummary
    CrowdStrikeRemoteResponseSessionEnd CrowdStrikeRemoteResponseSessionStart CrowdStrikeScheduledReportNotification
    CrowdStrikeUserActivityAudit CrowdStrikeVulnerabilities DeviceTvmSecureConfigurationAssessmentKB
    DeviceTvmSoftwareVulnerabilitiesKB DnsAuditEvents Event ExchangeAssessmentRecommendation
    ExchangeOnlineAssessmentRecommendation GCPApigee GCPAuditLogs GCPCDN GCPCloudRun GCPCloudSQL GCPComputeEngine GCPDNS
    GCPFirewallLogs GCPIAM GCPIDS GCPMonitoring GCPNAT GCPNATAudit GCPResourceManager GCPVPCFlow GKEAPIServer
    GKEApplication GKEAudit GKEControllerManager GKEHPADecision GKEScheduler GoogleCloudSCC GoogleWorkspaceReports
    IlumioInsights OTelLogs QualysKnowledgeBase Rapid7InsightVMCloudAssets Rapid7InsightVMCloudVulnerabilities
    SCCMAssessmentRecommendation SCOMAssessmentRecommendation SPAssessmentRecommendation SQLAssessmentRecommendation
    SecurityEvent SentinelAlibabaCloudAPIGatewayLogs SentinelAlibabaCloudVPCFlowLogs SentinelAlibabaCloudWAFLogs
    SentinelTheHiveData SfBAssessmentRecommendation SfBOnlineAssessmentRecommendation
    SharePointOnlineAssessmentRecommendation StorageInsightsAccountPropertiesDaily StorageInsightsDailyMetrics
    StorageInsightsHourlyMetrics StorageInsightsMonthlyMetrics StorageInsightsWeeklyMetrics Syslog ThreatIntelIndicators
    ThreatIntelObjects ThreatIntelligenceIndicator UCClient UCClientReadinessStatus UCClientUpdateStatus
    UCDOAggregatedStatus UCDOStatus UCDeviceAlert UCServiceUpdateStatus UCUpdateAlert WindowsClientAssessmentRecommendation
    WindowsEvent WindowsServerAssessmentRecommendation
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
