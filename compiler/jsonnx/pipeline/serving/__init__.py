"""Facts about a trained model that its server, forms, OpenAPI documents and clients share."""
