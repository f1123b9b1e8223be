//! Serves the files below a directory.
