"""Records of components, their examples, and the parts of their pages."""
