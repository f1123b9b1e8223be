//! The colours of plots.
//!
//! A drawing is made in those of a light page. Its style sheet gives each its counterpart on a dark one, by the colour that it
//! replaces: so the drawing needs to know no theme, and reads well where the style sheet is lost. The lines' colours differ in
//! lightness as well as in hue, for readers who do not tell red from green, and where points are marked, each line has a mark of
//! its own.

use std::fmt::Write;

use plotters::style::RGBColor;

/// Numbers and names.
pub(super) const INK: RGBColor = RGBColor(0x4b, 0x55, 0x63);
/// The two lines from which values are read.
pub(super) const AXIS: RGBColor = RGBColor(0x9a, 0xa3, 0xaf);
/// The lines that help to read them.
pub(super) const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);

const LINES: [RGBColor; 6] = [
    RGBColor(0x00, 0x64, 0xa8),
    RGBColor(0xd4, 0x5f, 0x0c),
    RGBColor(0x00, 0x7f, 0x5f),
    RGBColor(0xa8, 0x3f, 0x82),
    RGBColor(0x8c, 0x70, 0x00),
    RGBColor(0x4a, 0x4a, 0xb0),
];

/// Each colour's counterpart on a dark page.
const DARK: [(RGBColor, &str); 9] = [
    (INK, "#a9b3c1"),
    (AXIS, "#5d6878"),
    (GRID, "#2a313b"),
    (LINES[0], "#58b0f5"),
    (LINES[1], "#ff9a56"),
    (LINES[2], "#3fd0a4"),
    (LINES[3], "#e88fc6"),
    (LINES[4], "#e0c04a"),
    (LINES[5], "#a3a3ff"),
];

/// The colour of a plot's line.
pub(super) fn of_line(index: usize) -> RGBColor {
    LINES.get(index % LINES.len()).copied().unwrap_or(INK)
}

/// A colour as the drawing names it.
pub(super) fn name(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The style sheet that suits drawings to a dark page.
pub(crate) fn style() -> String {
    let mut style = "@media screen and (prefers-color-scheme: dark) {\n".to_owned();
    for (light, dark) in DARK {
        let light = name(light);
        // Writing to a string does not fail.
        let _ = writeln!(style, "[stroke=\"{light}\"] {{ stroke: {dark} }} [fill=\"{light}\"] {{ fill: {dark} }}");
    }
    style + "}\n"
}
