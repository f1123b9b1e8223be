//! Reports for readers: figures with units ([`figure`]), rates ([`rates`]), plots ([`plot`]), text
//! for a terminal ([`text`]), the HTML [`page`], and the output [`file`].
//!
//! Nothing here knows which command measured. Functions take numbers and text, and return text.

pub(super) mod figure;
pub(super) mod file;
pub(super) mod page;
pub(super) mod plot;
pub(super) mod rates;
pub(super) mod text;
