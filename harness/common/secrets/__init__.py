"""What nobody may see of what a run is given."""
