//! What a client of exec says and hears, in each dialect.
