"""A row's model as a repository of the hub: where it comes from, its card, its folder, and the upload."""
