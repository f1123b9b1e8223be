//! The parts that all progress bars share.

use std::io;

use indicatif::ProgressDrawTarget;

use super::capabilities::{can_redraw, has_colors};

/// Returns standard error as the target of a bar. The bar is hidden if `quiet`, or if the terminal
/// cannot redraw it.
pub(in crate::cli) fn draw_target(quiet: bool) -> ProgressDrawTarget {
    if !quiet && can_redraw(&io::stderr()) { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// Returns the template of a bar with this width in columns.
pub(in crate::cli) fn bar_template(width: u16) -> String {
    let colors = if has_colors(&io::stderr()) { ".cyan/dim" } else { "" };
    format!("{{bar:{width}{colors}}}")
}
