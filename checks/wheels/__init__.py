"""What others install: sdist and wheel are built, compared, and used where no checkout is."""
