"""``tidegate audit``: does everything that was promised hold, in what stands in the servers now?"""

from __future__ import annotations

import typer

from infra.settings import Settings
from infra.telemetry import configure_logging
from tidegate.audit import audit as find
from tidegate.audit.analytics import differences
from tidegate.audit.collect import collect_evidence
from tidegate.console import JsonOption, emit_json, note, run, say


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def audit(json: JsonOption = False) -> None:
        """Compare outboxes, topics, ledger, services' tables and Temporal; name what does not add up.

        Run it when nothing is in flight: what is still on its way looks lost. Exit status 1 for any finding.

        Example: `tidegate audit --json`
        """
        settings = Settings()
        configure_logging(settings, process="audit")
        note("reading outboxes, topics, ledger and workflows")
        evidence = run(collect_evidence(settings))
        findings = find(evidence)
        told_otherwise = run(differences(settings))
        if json:
            emit_json(
                {
                    "rows": len(evidence.rows),
                    "records": len(evidence.records),
                    "ledger": len(evidence.ledger),
                    "findings": [{"kind": finding.kind, "what": finding.what} for finding in findings],
                    "analytics": list(told_otherwise),
                }
            )
        else:
            for finding in findings:
                say(f"{finding.kind}: {finding.what}")
            for difference in told_otherwise:
                say(f"analytics: {difference}")
            say(
                f"{len(evidence.rows)} outbox rows, {len(evidence.records)} records, {len(evidence.ledger)} ledger "
                f"entries: {len(findings) + len(told_otherwise)} findings"
            )
        if findings or told_otherwise:
            raise typer.Exit(1)
