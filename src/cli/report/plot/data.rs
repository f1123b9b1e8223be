//! The data of a plot: axes, lines, ranges.

use super::axis::Axis;

/// A plot of one or more lines.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// Title above the plot.
    pub(crate) title: String,
    /// The horizontal axis.
    pub(crate) x: Axis,
    /// The vertical axis.
    pub(crate) y: Axis,
    /// The lines. Beyond six lines, colours repeat.
    pub(crate) series: Vec<Series>,
}

/// A line of a plot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// Name in the legend. A plot of one line has no legend.
    pub(crate) name: String,
    /// Points (x, y) in the order in which the line joins them.
    pub(crate) points: Vec<(f64, f64)>,
    /// Ranges of values: x, lowest y, highest y.
    pub(crate) spread: Vec<(f64, f64, f64)>,
    /// Shape in which `spread` is drawn.
    pub(crate) shape: SpreadShape,
    /// True if each point has a mark. A single point always has one.
    pub(crate) marks: bool,
}

/// The shape in which ranges of values are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SpreadShape {
    /// A bar through each point.
    #[default]
    Bars,
    /// A lighter band along the line.
    Band,
}
