//! The SVG drawing of a plot.

use std::io;
use std::ops::Range;

use maud::{Markup, html};
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, Cross, EmptyElement, PathElement, Polygon, Rectangle, Text, TriangleMarker};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontFamily, IntoTextStyle, RGBColor, TextStyle};

use super::super::figure;
use super::axis::AxisRange;
use super::color;
use super::data::{Plot, Series, SpreadShape};

/// Size of a drawing. plotters works in whole units, so a unit is half a CSS pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canvas {
    width: u32,
    height: u32,
}

/// The drawing for a window of a desk's width.
pub(super) const WIDE: Canvas = Canvas { width: 1720, height: 660 };
/// The drawing for a phone. Its letters have the same size.
pub(super) const NARROW: Canvas = Canvas { width: 716, height: 560 };
const LEFT: u32 = 140;
const RIGHT: u32 = 56;
const TOP: u32 = 62;
const BOTTOM: u32 = 100;
/// Font size. The SVG backend divides it by 1.24.
const FONT: f64 = 25.0 * 1.24;
const LINE: u32 = 4;
const MARK: i32 = 8;
const TICK: i32 = 11;
/// Width of a label's character, with its share of the gap to the next label.
const CHARACTER: f64 = 16.0;

type DrawError = DrawingAreaErrorKind<io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<AxisRange, AxisRange>>;

impl Canvas {
    /// Returns the value of the attribute `viewBox`.
    pub(super) fn view_box(self) -> String {
        format!("0 0 {} {}", self.width, self.height)
    }
}

/// Returns an SVG document; `None` if no value can be drawn.
pub(super) fn draw(plot: &Plot, canvas: Canvas) -> Option<Result<String, DrawError>> {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let spread = plot.series.iter().flat_map(|series| &series.spread).flat_map(|(_, low, high)| [*low, *high]);
    let x = plot.x.range(points().map(|(x, _)| *x))?;
    let y = plot.y.range(points().map(|(_, y)| *y).chain(spread))?;
    let mut svg = String::new();
    let drawn = draw_ranges(plot, canvas, x, y, &mut svg);
    Some(drawn.map(|()| svg))
}

/// Returns the symbol of a line in the legend.
pub(super) fn legend_key(index: usize, marked: bool) -> Markup {
    let color = color::name(color::of_line(index));
    html! {
        svg.key viewBox="0 0 28 12" aria-hidden="true" {
            line x1="1" y1="6" x2="27" y2="6" stroke=(color) stroke-width="2.5" {}
            @if marked {
                @match Mark::of(index) {
                    Mark::Circle => circle cx="14" cy="6" r="4.5" fill=(color) {},
                    Mark::Square => rect x="10" y="2" width="8" height="8" fill=(color) {},
                    Mark::Triangle => polygon points="14,0 19.5,10.5 8.5,10.5" fill=(color) {},
                    Mark::Cross => path d="M10 2l8 8M10 10l8-8" stroke=(color) stroke-width="2.5" {},
                }
            }
        }
    }
}

/// The shape that marks a line's points.
#[derive(Clone, Copy)]
enum Mark {
    Circle,
    Square,
    Triangle,
    Cross,
}

impl Mark {
    fn of(index: usize) -> Self {
        match index % 4 {
            0 => Self::Circle,
            1 => Self::Square,
            2 => Self::Triangle,
            _ => Self::Cross,
        }
    }
}

fn draw_ranges(plot: &Plot, canvas: Canvas, x: AxisRange, y: AxisRange, svg: &mut String) -> Result<(), DrawError> {
    let labelled = labelled_ticks(plot, &x, canvas.width.saturating_sub(LEFT + RIGHT));
    let x_label = |position: &f64| if labelled.contains(position) { plot.x.label(*position) } else { String::new() };
    let root = SVGBackend::with_string(svg, (canvas.width, canvas.height)).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin_top(TOP)
        .margin_right(RIGHT)
        .x_label_area_size(BOTTOM)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .bold_line_style(color::GRID.stroke_width(2))
        .light_line_style(color::GRID.mix(0.0))
        .axis_style(color::AXIS.stroke_width(2))
        .label_style(font())
        .set_all_tick_mark_size(TICK)
        .x_label_formatter(&x_label)
        .y_label_formatter(&|position| plot.y.label(*position))
        .draw()?;
    for (index, series) in plot.series.iter().enumerate() {
        draw_series(&mut chart, plot, index, series)?;
    }
    name_axes(&root, plot, canvas)?;
    root.present()
}

/// Returns the ticks of the horizontal axis, which is `length` units long, whose labels do not
/// overlap that of the tick before.
fn labelled_ticks(plot: &Plot, axis: &AxisRange, length: u32) -> Vec<f64> {
    let mut labelled = Vec::new();
    let mut free_from = f64::NEG_INFINITY;
    for tick in &axis.ticks {
        let middle = (tick - axis.low) / (axis.high - axis.low) * f64::from(length);
        let half = figure::float(plot.x.label(*tick).chars().count() as u64) * CHARACTER / 2.0;
        if middle - half >= free_from {
            labelled.push(*tick);
            free_from = middle + half;
        }
    }
    labelled
}

fn draw_series(chart: &mut Chart<'_>, plot: &Plot, index: usize, series: &Series) -> Result<(), DrawError> {
    let color = color::of_line(index);
    let point = |(x, y): &(f64, f64)| Some((plot.x.position(*x)?, plot.y.position(*y)?));
    let points: Vec<_> = series.points.iter().filter_map(point).collect();
    let range = |(x, low, high): &(f64, f64, f64)| Some((point(&(*x, *low))?, point(&(*x, *high))?));
    let (low, high): (Vec<_>, Vec<_>) = series.spread.iter().filter_map(range).unzip();
    match series.shape {
        SpreadShape::Bars => {
            let bars = low.into_iter().zip(high);
            chart.draw_series(bars.map(|(low, high)| PathElement::new([low, high], color.stroke_width(LINE - 1))))?;
        }
        SpreadShape::Band => {
            let outline: Vec<_> = low.into_iter().chain(high.into_iter().rev()).collect();
            let band = (outline.len() > 2).then(|| Polygon::new(outline, color.mix(0.18)));
            chart.draw_series(band)?;
        }
    }
    chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(LINE)))?;
    if series.marks || points.len() == 1 { draw_marks(chart, index, points, color) } else { Ok(()) }
}

fn draw_marks(chart: &mut Chart<'_>, index: usize, points: Vec<(f64, f64)>, color: RGBColor) -> Result<(), DrawError> {
    let filled = color.filled();
    match Mark::of(index) {
        Mark::Circle => chart.draw_series(points.into_iter().map(|at| Circle::new(at, MARK, filled)))?,
        Mark::Square => {
            let square =
                |at| EmptyElement::at(at) + Rectangle::new([(1 - MARK, 1 - MARK), (MARK - 1, MARK - 1)], filled);
            chart.draw_series(points.into_iter().map(square))?
        }
        Mark::Triangle => chart.draw_series(points.into_iter().map(|at| TriangleMarker::new(at, MARK + 3, filled)))?,
        Mark::Cross => {
            let style = color.stroke_width(LINE);
            chart.draw_series(points.into_iter().map(|at| Cross::new(at, MARK, style)))?
        }
    };
    Ok(())
}

/// Draws the name of each axis horizontally at its end, where it is easy to read.
fn name_axes(root: &Area<'_>, plot: &Plot, canvas: Canvas) -> Result<(), DrawError> {
    let at = |h_pos, v_pos| font().pos(Pos::new(h_pos, v_pos));
    let corner = ((canvas.width - RIGHT).cast_signed(), canvas.height.cast_signed() - 12);
    root.draw(&Text::new(plot.y.name.as_str(), (12, 8), at(HPos::Left, VPos::Top)))?;
    root.draw(&Text::new(plot.x.name.as_str(), corner, at(HPos::Right, VPos::Bottom)))
}

fn font() -> TextStyle<'static> {
    (FontFamily::SansSerif, FONT, &color::INK).into_text_style(&(WIDE.width, WIDE.height))
}

impl Ranged for AxisRange {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, position: &f64, limit: (i32, i32)) -> i32 {
        let fraction = (position - self.low) / (self.high - self.low);
        let along = f64::from(limit.0) + fraction * f64::from(limit.1 - limit.0);
        #[expect(clippy::cast_possible_truncation, reason = "rounded, and within the drawing")]
        let unit = along.round() as i32;
        unit
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}
