//! What a client of files says and hears, in each dialect.
