//! Colours of plots.
//!
//! A drawing uses the colours of a light page. On a dark page the style sheet replaces each by its
//! counterpart, selected by the light colour. So the drawing does not depend on a theme, and it is
//! readable without the style sheet. The colours of lines differ in lightness as well as in hue,
//! for colour-blind readers. Marked lines differ in the shape of their marks, too.

use std::fmt::Write;

use plotters::style::RGBColor;

/// Colour of text.
pub(super) const INK: RGBColor = RGBColor(0x4b, 0x55, 0x63);
/// Colour of the two axes.
pub(super) const AXIS: RGBColor = RGBColor(0x9a, 0xa3, 0xaf);
/// Colour of the grid lines.
pub(super) const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);

const LINES: [RGBColor; 6] = [
    RGBColor(0x00, 0x64, 0xa8),
    RGBColor(0xd4, 0x5f, 0x0c),
    RGBColor(0x00, 0x7f, 0x5f),
    RGBColor(0xa8, 0x3f, 0x82),
    RGBColor(0x8c, 0x70, 0x00),
    RGBColor(0x4a, 0x4a, 0xb0),
];

/// Each colour with its counterpart on a dark page.
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

/// Returns the colour of line number `index`.
pub(super) fn of_line(index: usize) -> RGBColor {
    LINES.get(index % LINES.len()).copied().unwrap_or(INK)
}

/// Returns a colour as the SVG writes it.
pub(super) fn name(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Returns the style sheet that adapts drawings to a dark page.
pub(crate) fn style() -> String {
    let mut style = "@media screen and (prefers-color-scheme: dark) {\n".to_owned();
    for (light, dark) in DARK {
        let light = name(light);
        // Writing to a String cannot fail.
        let _ = writeln!(style, "[stroke=\"{light}\"] {{ stroke: {dark} }} [fill=\"{light}\"] {{ fill: {dark} }}");
    }
    style + "}\n"
}
