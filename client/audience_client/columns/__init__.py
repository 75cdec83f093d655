"""What columns of exports mean: which field of a user each becomes, and which must never leave."""
