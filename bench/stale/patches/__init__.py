"""What edits do to the experiment's config, its folder, the code, and the versions of libraries."""
