"""The syntax of dates and times that the network reads: ISO 8601, in regular expressions common to RE2 and Python."""

DATE_PATTERN = r" *\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
TIME_PATTERN = r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)? *"
