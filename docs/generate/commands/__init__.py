"""The pages of the commands of the command line."""
