//! One picture: lines over two logarithmic axes.

use std::path::Path;

use plotters::prelude::*;

use crate::Result;

/// A picture.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    pub(super) lines: Vec<Line>,
}

/// One line of it.
pub(super) struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Line {
    /// Puts a point at the end of the line of this name. What is not a number is left out.
    pub(super) fn add(lines: &mut Vec<Self>, name: &str, point: (f64, f64)) {
        if !point.1.is_finite() {
            return;
        }
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Self { name: name.to_owned(), points: vec![point] }),
        }
    }
}

impl Chart {
    pub(super) fn draw(&self, path: &Path) -> Result<()> {
        let (xs, ys) = (self.range(|point| point.0), self.range(|point| point.1));
        let (leftmost, lowest) = (xs.0, ys.0);
        let area = SVGBackend::new(path, (760, 460)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(80)
            .build_cartesian_2d(
                (leftmost..xs.1 * 1.1).log_scale(),
                (lowest * 0.8..ys.1 * 1.25).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&plain)
            .y_label_formatter(&plain)
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.12))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (number, line) in self.lines.iter().enumerate() {
            let colour = Palette99::pick(number).to_rgba();
            let points = || line.points.iter().map(|(x, y)| (x.max(leftmost), *y));
            chart
                .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 13))
            .position(SeriesLabelPosition::UpperLeft)
            .draw()?;
        Ok(area.present()?)
    }

    /// The least that is more than nothing, and the most. A logarithmic axis has no place for nothing: it goes a
    /// third of the way below the rest.
    fn range(&self, of: fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let all = || self.lines.iter().flat_map(|line| &line.points).map(of);
        let least = all().filter(|number| *number > 0.0).fold(f64::NAN, f64::min);
        let least = if all().any(|number| number <= 0.0) { least / 3.0 } else { least };
        let most = all().fold(f64::NAN, f64::max);
        if least.is_nan() { (1.0, 10.0) } else { (least, most) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the library calls it")]
fn plain(number: &f64) -> String {
    if *number >= 10_000.0 { format!("{}k", number / 1000.0) } else { format!("{number}") }
}
