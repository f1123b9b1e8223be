//! Line plots, drawn as SVG in an HTML figure.

mod axis;
mod color;
mod data;
mod draw;

use maud::{Markup, PreEscaped, html};

pub(crate) use axis::{Axis, Scale};
pub(crate) use color::style;
pub(crate) use data::{Plot, Series, SpreadShape};

impl Plot {
    /// Returns the plot with title and legend. A dark page needs [`style`].
    pub(crate) fn figure(&self) -> Markup {
        html! {
            figure.plot {
                figcaption {
                    span.title { (self.title) }
                    @if self.series.len() > 1 {
                        span.legend {
                            @for (index, series) in self.series.iter().enumerate() {
                                span.entry { (draw::legend_key(index, series.marks)) (series.name) }
                            }
                        }
                    }
                }
                // The style sheet shows the one that fits the window: a wide drawing would be
                // too small to read on a phone.
                @match (self.drawing(draw::WIDE), self.drawing(draw::NARROW)) {
                    (Some(wide), Some(narrow)) => { svg.drawing viewBox=(draw::WIDE.view_box()) role="img" aria-label=(self.title) { (wide) }
                        svg.narrow viewBox=(draw::NARROW.view_box()) role="img" aria-label=(self.title) { (narrow) } },
                    _ => p.empty { "There is no measurement to draw." },
                }
            }
        }
    }

    /// Returns the contents of a drawing; `None` without values or if drawing failed.
    fn drawing(&self, canvas: draw::Canvas) -> Option<PreEscaped<String>> {
        let svg = match draw::draw(self, canvas)? {
            Ok(svg) => svg,
            Err(error) => {
                log::debug!("cannot draw the plot '{}': {error}", self.title);
                return None;
            }
        };
        // The svg element of plotters has a fixed width and no label, so it is replaced.
        let (_, inside) = svg.split_once('>')?;
        let (inside, _) = inside.rsplit_once("</svg>")?;
        Some(PreEscaped(inside.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Unit;
    use super::*;

    fn plot(points: &[(f64, f64)]) -> Plot {
        let series = Series { name: "a <b>".to_owned(), points: points.to_vec(), marks: true, ..Series::default() };
        let spread = points.iter().map(|(x, y)| (*x, y * 0.9, y * 1.1)).collect();
        let banded = Series { spread, shape: SpreadShape::Band, ..series.clone() };
        Plot {
            title: "T & t".to_owned(),
            x: Axis { name: "time".to_owned(), unit: Unit::Seconds, scale: Scale::Linear },
            y: Axis { name: "latency".to_owned(), unit: Unit::Nanos, scale: Scale::Log },
            series: vec![series, banded],
        }
    }

    #[test]
    fn plot_has_lines_ticks_and_legend() {
        let html = plot(&[(0.0, 1_000.0), (1.0, 80_000.0), (2.0, 2_000.0)]).figure().into_string();
        assert_eq!(html.matches("<svg class=\"drawing\"").count(), 1);
        for color in [color::of_line(0), color::of_line(1)].map(color::name) {
            let line = format!("<polyline fill=\"none\" opacity=\"1\" stroke=\"{color}\"");
            assert_eq!(html.matches(&line).count(), 2, "one in each size: {html}");
        }
        assert_eq!(html.matches("<polygon").count(), 2, "the band");
        for words in ["T &amp; t", "a &lt;b&gt;", "10 µs", "latency", "time", "0.5 s"] {
            assert!(html.contains(words), "{words} is not in {html}");
        }
        assert!(!html.contains("http"), "the page has no external link");
    }

    #[test]
    fn labels_of_a_narrow_drawing_do_not_overlap() {
        let plot = Plot {
            x: Axis { name: "percentile".to_owned(), unit: Unit::OneOf, scale: Scale::Log },
            ..plot(&[(1.0, 1_000.0), (1e7, 2_000.0)])
        };
        let labels = |canvas| {
            let drawing = plot.drawing(canvas).unwrap().into_string();
            drawing.lines().filter(|line| line.trim_end().ends_with('%')).count()
        };
        assert_eq!((labels(draw::WIDE), labels(draw::NARROW)), (9, 5));
    }

    #[test]
    fn plot_without_values_has_a_note() {
        for points in [&[][..], &[(0.0, f64::NAN)], &[(f64::INFINITY, 1.0)], &[(0.0, 0.0), (1.0, -1.0)]] {
            let html = plot(points).figure().into_string();
            assert!(html.contains("no measurement to draw") && !html.contains("class=\"drawing\""), "{points:?}");
        }
    }

    #[test]
    fn single_point_and_flat_line_are_drawn() {
        for points in [&[(1.0, 5.0)][..], &[(0.0, 7.0), (1.0, 7.0)], &[(0.0, 1.0), (1.0, 1e12)]] {
            assert!(plot(points).figure().into_string().contains("<svg class=\"drawing\""), "{points:?}");
        }
    }
}
