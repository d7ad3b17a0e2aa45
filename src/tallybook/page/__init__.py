"""The page: what a browser is shown, as HTML that a server or a report can send. No HTTP in here."""
