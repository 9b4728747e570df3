"""Values that describe a profile and a trace."""
