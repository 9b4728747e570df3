"""From the names of files to samples: locations, columns, datasets."""
