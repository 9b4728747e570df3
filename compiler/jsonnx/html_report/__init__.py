"""The page that shows runs: metrics from predictions, pictures of samples, and one HTML file that needs no network."""
