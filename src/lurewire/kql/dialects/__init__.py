"""How a plan becomes SQL: one module set per engine."""
