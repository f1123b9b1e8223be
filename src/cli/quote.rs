//! Words as a POSIX shell reads them.

/// `word`, in quotes where it needs them.
pub(super) fn quote(word: &str) -> String {
    // No word that was typed holds a NUL, which is all that cannot be quoted.
    shlex::try_quote(word).map_or_else(|_| word.escape_debug().to_string(), String::from)
}
