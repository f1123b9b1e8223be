//! Line plots, drawn as SVG in an HTML figure.

mod axis;
mod color;
mod draw;
mod figure;
mod series;

pub(crate) use axis::{Axis, Scale};
pub(crate) use color::style;
pub(crate) use series::{Plot, Series, SpreadShape};
