"""What the commands of `dff` do: check, call, write, tell. The command line itself is `dff.cli`."""
