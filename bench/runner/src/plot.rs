//! Box plots as SVG by hand: per contender a line from the smallest to the largest sample, a box between the quartiles,
//! a tick at the median and its number. The axis starts at zero, so that lengths may be compared by eye.

use std::fmt::Write as _;

use crate::stats::Spread;

/// One contender of a plot.
pub struct Row {
    pub label: &'static str,
    pub spread: Spread,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 44.0;
const STEP: f64 = 26.0;

/// A round distance between grid lines: 1, 2 or 5 times a power of ten, giving at most ten of them.
fn grid(largest: f64) -> f64 {
    let power = 10f64.powf((largest / 10.0).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|times| times * power).find(|step| largest / step <= 10.0).unwrap_or(10.0 * power)
}

fn color(label: &str) -> &'static str {
    match label.split('-').next() {
        Some("annulus") => "#c2410c",
        Some("floor") => "#64748b",
        _ => "#2563eb",
    }
}

/// The plot of these rows.
pub fn svg(title: &str, rows: &[Row]) -> String {
    let largest = rows.iter().map(|row| row.spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let (step, bottom) = (grid(largest), TOP + STEP * rows.len() as f64);
    let x = |value: f64| LEFT + value / largest * (WIDTH - LEFT - RIGHT);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{0}\" fill=\"#fff\"/>\n<text x=\"12\" y=\"20\" font-size=\"14\">{title}</text>\n",
        bottom + 28.0
    );
    for line in 0..=(largest / step) as usize {
        let (value, at) = (line as f64 * step, x(line as f64 * step));
        let _ = write!(
            text,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#e2e8f0\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#475569\">{value}</text>\n",
            bottom + 16.0
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let (y, s, fill) = (TOP + STEP * (at as f64 + 0.5), row.spread, color(row.label));
        let _ = write!(
            text,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <path d=\"M{:.1} {y}H{:.1}\" stroke=\"{fill}\"/>\n\
             <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" fill=\"{fill}\" fill-opacity=\"0.35\" stroke=\"{fill}\"/>\n\
             <path d=\"M{:.1} {:.1}v18\" stroke=\"{fill}\" stroke-width=\"3\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{:.2}</text>\n",
            LEFT - 8.0,
            y + 4.0,
            row.label,
            x(s.min),
            x(s.max),
            x(s.q1),
            y - 7.0,
            (x(s.q3) - x(s.q1)).max(1.0),
            x(s.median),
            y - 9.0,
            x(s.max) + 6.0,
            y + 4.0,
            s.median
        );
    }
    text + "</svg>\n"
}
