"""Hunting queries over generated tables: what the KQL benches run."""
