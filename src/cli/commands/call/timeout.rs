//! The time limits of the clients.

use std::time::Duration;

use crate::cli::error::CliError;
use crate::cli::units::HumanDuration;

/// The time limit for connecting of clients whose `--timeout`, if they have one, is for replies.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The default timeout for connecting, and for each reply.
pub(super) const DEFAULT_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(10));

/// Checks that a timeout is not zero.
pub(super) fn nonzero_timeout(HumanDuration(timeout): HumanDuration) -> Result<Duration, CliError> {
    if timeout.is_zero() {
        return Err(CliError::Usage(
            "--timeout 0 leaves no time for a response: use a longer time, such as 10s".to_owned(),
        ));
    }
    Ok(timeout)
}
