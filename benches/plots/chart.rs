//! One picture: lines over two logarithmic axes.

use std::path::Path;

use plotters::prelude::*;

use crate::Result;

/// A picture.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    /// A corner without lines.
    pub(super) legend: SeriesLabelPosition,
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
        let (leftmost, lowest, has_nothing) = (xs.0, ys.0, self.has_nothing());
        let area = SVGBackend::new(path, (760, 460)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(80)
            .build_cartesian_2d(
                (leftmost..xs.1 * 1.1).log_scale().with_key_points(self.measured(leftmost)),
                (lowest * 0.8..ys.1 * 1.25).log_scale().with_key_points(steps(lowest * 0.8, ys.1 * 1.25)),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| if has_nothing && *x <= leftmost { "0".to_owned() } else { plain(*x) })
            .y_label_formatter(&|y| plain(*y))
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
            .position(self.legend.clone())
            .draw()?;
        Ok(area.present()?)
    }

    /// Where points were measured; those at nothing are at the leftmost.
    fn measured(&self, leftmost: f64) -> Vec<f64> {
        let mut xs: Vec<f64> =
            self.lines.iter().flat_map(|line| &line.points).map(|(x, _)| x.max(leftmost)).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        xs
    }

    /// The least and the most. A logarithmic axis has no place for nothing: it goes half of the way below the rest.
    fn range(&self, of: fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let all = || self.lines.iter().flat_map(|line| &line.points).map(of);
        let least = all().filter(|number| *number > 0.0).fold(f64::NAN, f64::min);
        let least = if all().any(|number| number <= 0.0) { least / 2.0 } else { least };
        let most = all().fold(f64::NAN, f64::max);
        if least.is_nan() { (1.0, 10.0) } else { (least, most) }
    }

    /// Whether some points are at nothing.
    fn has_nothing(&self) -> bool {
        self.lines.iter().flat_map(|line| &line.points).any(|(x, _)| *x <= 0.0)
    }
}

/// 1, 2, 5, 10, 20 and so on between two numbers.
fn steps(from: f64, to: f64) -> Vec<f64> {
    let decades = (-3..9).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)));
    decades.filter(|step| (from..to).contains(step)).collect()
}

fn plain(number: f64) -> String {
    if number >= 10_000.0 {
        format!("{}k", number / 1000.0)
    } else {
        format!("{}", (number * 1000.0).round() / 1000.0)
    }
}
