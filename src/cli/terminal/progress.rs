//! The parts that all progress bars share.

use std::io;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::capabilities::{can_redraw, has_colors};

/// Returns standard error as the target of a bar. The bar is hidden if `quiet`, or if the terminal
/// cannot redraw it.
pub(in crate::cli) fn draw_target(quiet: bool) -> ProgressDrawTarget {
    if !quiet && can_redraw(&io::stderr()) { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// Creates a bar of this length, with the percentage and a message beside it.
pub(in crate::cli) fn message_bar(length: u64, quiet: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), draw_target(quiet));
    set_template(&bar, &format!("{} {{percent:>3}} %{{wide_msg}}", bar_template(12)));
    bar
}

/// Sets the template of a bar. Templates are constants; with an invalid one the bar would keep its
/// default style.
pub(in crate::cli) fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
}

/// Returns the template of a bar with this width in columns.
pub(in crate::cli) fn bar_template(width: u16) -> String {
    let colors = if has_colors(&io::stderr()) { ".cyan/dim" } else { "" };
    format!("{{bar:{width}{colors}}}")
}
