"""azure-monitor-query before version 2, as azure-cli has it: its quick-start, with what `lurewire env` prints."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta

from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryResult

value = os.environ
credential = ClientSecretCredential(
    value["AZURE_TENANT_ID"],
    value["AZURE_CLIENT_ID"],
    value["AZURE_CLIENT_SECRET"],
    authority=value["AZURE_AUTHORITY_HOST"],
    disable_instance_discovery=True,
)
workspace = value["LUREWIRE_WORKSPACE_ID"]
with LogsQueryClient(
    credential, endpoint=value["LUREWIRE_URL"], credential_scopes=["https://api.loganalytics.io/.default"]
) as client:
    one = client.query_workspace(
        workspace, "print x = 1", timespan=timedelta(days=1), include_statistics=True, include_visualization=True
    )
    assert isinstance(one, LogsQueryResult)
    many = client.query_batch(
        [
            LogsBatchQuery(workspace_id=workspace, query="print x = 2", timespan=None),
            LogsBatchQuery(workspace_id=workspace, query="print (", timespan=None),
        ]
    )
    seen = {
        "row": list(one.tables[0].rows[0]),
        "statistics": bool(one.statistics),
        "batch": [str(answer.status) for answer in many],
    }
json.dump(seen, sys.stdout)
