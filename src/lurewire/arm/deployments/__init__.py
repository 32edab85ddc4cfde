"""Template deployments: ARM templates, evaluated and put into the resource store."""
