//! Fetching over HTTP/1.1.
