"""What runs leave: directories, manifests, tables, scorecards."""
