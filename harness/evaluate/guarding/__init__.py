"""What a text under judgment may not do to the judge."""
