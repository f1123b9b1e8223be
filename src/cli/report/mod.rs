//! What has been measured, for people: figures in their units, plots, and a page that holds both.
//!
//! It knows nothing of who measured what. Everything here takes numbers and words, and gives text.

pub(super) mod figure;
pub(super) mod page;
pub(super) mod plot;
