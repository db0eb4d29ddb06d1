"""The composition root: settings, the `soli` command, Prefect flows and the demo."""
