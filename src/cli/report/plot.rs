//! Lines over a plane, as SVG within a figure.

mod axis;
mod color;
mod draw;

use maud::{Markup, PreEscaped, html};

pub(crate) use axis::{Axis, Scale};
pub(crate) use color::style;

/// A plot.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// What it shows, above it.
    pub(crate) title: String,
    /// From left to right.
    pub(crate) x: Axis,
    /// From bottom to top.
    pub(crate) y: Axis,
    /// The lines. More than there are colours share them.
    pub(crate) series: Vec<Series>,
}

/// A line of a plot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// What the legend calls it. A plot of one line has no legend.
    pub(crate) name: String,
    /// Its points, in the order in which the line joins them.
    pub(crate) points: Vec<(f64, f64)>,
    /// How far the values reach: x, the lowest and the highest y.
    pub(crate) spread: Vec<(f64, f64, f64)>,
    /// How `spread` is drawn.
    pub(crate) shape: Spread,
    /// Whether each point is marked. Where there is only one, it is.
    pub(crate) marks: bool,
}

/// How the reach of values is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spread {
    /// A bar through each point.
    #[default]
    Bars,
    /// A lighter band along the line.
    Band,
}

impl Plot {
    /// The plot with its title and legend. It needs [`style`] in the page to suit a dark one.
    pub(crate) fn figure(&self) -> Markup {
        html! {
            figure.plot {
                figcaption {
                    span.title { (self.title) }
                    @if self.series.len() > 1 {
                        span.legend {
                            @for (index, series) in self.series.iter().enumerate() {
                                span.entry { (draw::key(index, series.marks)) (series.name) }
                            }
                        }
                    }
                }
                @match self.drawing() {
                    // In a narrow window it is scrolled rather than made too small to read.
                    Some(drawing) => div.wide { (drawing) },
                    None => p.empty { "Nothing was measured that could be drawn." },
                }
            }
        }
    }

    /// The drawing alone, if there is anything to draw.
    fn drawing(&self) -> Option<Markup> {
        let svg = match draw::draw(self)? {
            Ok(svg) => svg,
            Err(error) => {
                log::debug!("'{}' was not drawn: {error}", self.title);
                return None;
            }
        };
        // Its own outermost element neither fits the width it is given nor says what it shows.
        let (_, inside) = svg.split_once('>')?;
        let (inside, _) = inside.rsplit_once("</svg>")?;
        let view = format!("0 0 {} {}", draw::WIDTH, draw::HEIGHT);
        Some(html! { svg.drawing viewBox=(view) role="img" aria-label=(self.title) { (PreEscaped(inside)) } })
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Unit;
    use super::*;

    fn plot(points: &[(f64, f64)]) -> Plot {
        let series = Series { name: "a <b>".to_owned(), points: points.to_vec(), marks: true, ..Series::default() };
        let spread = points.iter().map(|(x, y)| (*x, y * 0.9, y * 1.1)).collect();
        let banded = Series { spread, shape: Spread::Band, ..series.clone() };
        Plot {
            title: "T & t".to_owned(),
            x: Axis { name: "time".to_owned(), unit: Unit::Seconds, scale: Scale::Linear },
            y: Axis { name: "latency".to_owned(), unit: Unit::Nanos, scale: Scale::Log },
            series: vec![series, banded],
        }
    }

    #[test]
    fn a_plot_is_one_drawing_with_its_lines_ticks_and_legend() {
        let html = plot(&[(0.0, 1_000.0), (1.0, 80_000.0), (2.0, 2_000.0)]).figure().into_string();
        assert_eq!(html.matches("<svg class=\"drawing\"").count(), 1);
        for color in [color::of_line(0), color::of_line(1)].map(color::name) {
            let line = format!("<polyline fill=\"none\" opacity=\"1\" stroke=\"{color}\"");
            assert_eq!(html.matches(&line).count(), 1, "{html}");
        }
        assert_eq!(html.matches("<polygon").count(), 1, "the band");
        for words in ["T &amp; t", "a &lt;b&gt;", "10 µs", "latency", "time", "0.5 s"] {
            assert!(html.contains(words), "{words} is not in {html}");
        }
        assert!(!html.contains("http"), "it names nothing elsewhere");
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        for points in [&[][..], &[(0.0, f64::NAN)], &[(f64::INFINITY, 1.0)], &[(0.0, 0.0), (1.0, -1.0)]] {
            let html = plot(points).figure().into_string();
            assert!(html.contains("Nothing was measured") && !html.contains("class=\"drawing\""), "{points:?}");
        }
    }

    #[test]
    fn a_single_point_and_a_flat_line_are_drawn() {
        for points in [&[(1.0, 5.0)][..], &[(0.0, 7.0), (1.0, 7.0)], &[(0.0, 1.0), (1.0, 1e12)]] {
            assert!(plot(points).figure().into_string().contains("<svg class=\"drawing\""), "{points:?}");
        }
    }
}
