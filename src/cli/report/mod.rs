//! Reports for readers: figures with units ([`figure`]), rates ([`rates`]), plots ([`plot`]), the
//! [`document`] that the [`text`] for a terminal and the HTML [`page`] are written from, the first
//! keys of every JSON result ([`record`]), the output [`file`], and all forms of a result together
//! ([`output`]).
//!
//! Nothing here knows which command measured. Functions take numbers and text, and return text.

pub(super) mod document;
pub(super) mod figure;
pub(super) mod file;
pub(super) mod output;
pub(super) mod page;
pub(super) mod plot;
pub(super) mod rates;
pub(super) mod record;
pub(super) mod text;
