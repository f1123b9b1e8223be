//! Words as a POSIX shell reads them.

/// `word`, in quotes where it needs them.
pub(in crate::cli) fn quote(word: &str) -> String {
    // The library quotes an equals sign, too, for shells to which one at the beginning of a word means something.
    let option = word.split_once('=').filter(|(name, value)| name.starts_with("--") && !value.is_empty());
    match option {
        Some((name, value)) => format!("{}={}", quote_all(name), quote_all(value)),
        None => quote_all(word),
    }
}

fn quote_all(word: &str) -> String {
    // No word that was typed holds a NUL, which is all that cannot be quoted.
    shlex::try_quote(word).map_or_else(|_| word.escape_debug().to_string(), String::from)
}
