//! Words quoted for a POSIX shell.

/// Returns `word`, quoted if a shell would change it.
pub(in crate::cli) fn quote(word: &str) -> String {
    // shlex also quotes a word for its `=`, which is special at a word's start in some shells. In
    // `--name=value` it is not, so the two parts are quoted apart.
    let option = word.split_once('=').filter(|(name, value)| name.starts_with("--") && !value.is_empty());
    match option {
        Some((name, value)) => format!("{}={}", quote_all(name), quote_all(value)),
        None => quote_all(word),
    }
}

fn quote_all(word: &str) -> String {
    // Quoting fails for a NUL only, and no command-line argument contains one.
    shlex::try_quote(word).map_or_else(|_| word.escape_debug().to_string(), String::from)
}
