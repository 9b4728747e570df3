"""A server of the Model Context Protocol, with which programs check, change and train specs beneath one folder."""
