//! The limit on open descriptors of this process.

/// Raises the soft limit on open descriptors to the hard limit, because each connection takes a
/// descriptor.
///
/// A failure is logged and otherwise ignored: the limit may be high enough as it is.
pub(in crate::cli) fn raise_descriptor_limit() {
    if let Err(error) = switchboard::raise_descriptor_limit() {
        log::warn!("cannot raise the limit on open descriptors: {error}");
    }
}
