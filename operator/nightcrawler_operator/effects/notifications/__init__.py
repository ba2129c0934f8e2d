"""Messages about runs to people and programs: by webhook, in Slack, by e-mail."""
