//! Chromium, if this machine has it: draws the pages of reports and measures them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::bench::Scratch;

/// Widths at which a page must fit, in CSS pixels: a phone's and a desk's.
const WIDTHS: [u32; 2] = [390, 1280];
/// Height of the letters in a drawing that can still be read, in CSS pixels.
const MIN_LETTER_PX: f64 = 9.0;

/// Loads an HTML page and returns its document after its scripts have run. `None`, and a line on
/// standard error, without Chromium.
pub(crate) fn load(html: &str) -> Option<String> {
    let exists =
        |name: &&str| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(exists) else {
        eprintln!("not tested: there is no Chromium");
        return None;
    };
    let (file, profile) = (Scratch::new(), Scratch::new());
    // Chromium recognizes HTML by the file extension.
    let page: PathBuf = file.path().with_extension("html");
    std::fs::write(&page, html).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.name()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let _ = (std::fs::remove_file(&page), std::fs::remove_dir_all(profile.path()));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asserts that a page needs no horizontal scrolling at any of [`WIDTHS`], and that its plots, of
/// which there are `plots`, fit and can be read.
pub(crate) fn assert_fits(page: &str, plots: u32) {
    let srcdoc = page.replace('&', "&amp;").replace('"', "&quot;");
    let frames = WIDTHS.map(|width| format!("<iframe width=\"{width}\" height=\"900\" srcdoc=\"{srcdoc}\"></iframe>"));
    let wrapper = format!("<!DOCTYPE html><meta charset=utf-8>{}<pre></pre>{MEASURE}", frames.concat());
    let Some(dom) = load(&wrapper) else { return };
    let measured = dom.split("<pre>").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap_or_default();
    let lines: Vec<Vec<f64>> =
        measured.lines().map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect()).collect();
    assert_eq!(lines.len(), WIDTHS.len(), "{measured}");
    for (line, width) in lines.iter().zip(WIDTHS) {
        let [inner, scroll, drawings, right, letters] = line[..] else { panic!("{measured}") };
        assert!((inner - f64::from(width)).abs() < 20.0, "a frame of {width} px has a window of {inner} px");
        assert!(scroll <= inner, "at {width} px the page is {scroll} px wide");
        assert!((drawings - f64::from(plots)).abs() < 0.5, "at {width} px {drawings} of {plots} plots are shown");
        assert!(right <= inner, "at {width} px a plot ends at {right} px");
        assert!(letters >= MIN_LETTER_PX, "at {width} px the letters of a plot have {letters} px");
    }
}

/// Writes a line for each frame: the width of its window, the width of its page, the number of the
/// visible drawings, their rightmost edge, and the size of their smallest letters.
const MEASURE: &str = "<script>
onload = () => {
  const lines = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument;
    const drawings = [...page.querySelectorAll('figure svg[role=img]')]
      .filter(svg => svg.getBoundingClientRect().width > 0);
    const right = drawings.map(svg => svg.getBoundingClientRect().right);
    const letters = drawings.flatMap(svg => {
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      return [...svg.querySelectorAll('text')].map(text => parseFloat(text.getAttribute('font-size')) * scale);
    });
    return [frame.contentWindow.innerWidth, page.scrollingElement.scrollWidth, drawings.length,
      Math.max(0, ...right), Math.min(100, ...letters)].join(' ');
  });
  document.querySelector('pre').textContent = lines.join('\\n');
};
</script>";
