"""The page that shows runs: figures from predictions, pictures of samples, and one HTML file that needs no network."""
