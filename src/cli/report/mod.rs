//! What has been measured, for people: figures in their units ([`figure`]), plots ([`plot`]), the [`words`] and the [`page`] that
//! hold them, and the [`file`] that they go to.
//!
//! It knows nothing of who measured what. Everything here takes numbers and words, and gives text.

pub(super) mod figure;
pub(super) mod file;
pub(super) mod page;
pub(super) mod plot;
pub(super) mod rates;
pub(super) mod words;
