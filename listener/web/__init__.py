"""The page: Datasette with a plugin of ours in front. It reads what the daemon writes, and writes corrections alone."""
