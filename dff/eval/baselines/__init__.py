"""Classical rivals: what our methods are compared with, each in its plainest form."""
