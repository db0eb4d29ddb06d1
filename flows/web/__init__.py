"""The researchers' web page: questions of the face, answered on pages, read-only."""
