//! Medians over the rounds, and ratios.

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use super::Row;

/// One line per program, in the order of the first round. The ratio is that of the first program to this one: the
/// median over the rounds, since the runs of one round share the machine's mood.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let first = rows.first().map_or("", |row| row.name.as_str());
    let ratio = format!("{first} / it");
    table.set_header([
        "program",
        "records/s",
        &ratio,
        "least",
        "most",
        "CPU µs",
        "RSS MB",
        "Redis µs",
        "Redis CPU µs",
        "Redis bytes",
        "runs",
    ]);
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    for row in rows.iter().filter(|row| row.round == 1) {
        table.add_row(line(rows, first, &row.name));
    }
    table
}

fn line(rows: &[Row], first: &str, name: &str) -> Vec<String> {
    let own: Vec<&Row> = rows.iter().filter(|row| row.name == name).collect();
    let good: Vec<&Row> = own.iter().copied().filter(|row| row.problem.is_none()).collect();
    let speeds = || own.iter().filter_map(|row| row.speed());
    let of_round = |row: &&Row| {
        let first = rows.iter().find(|other| other.round == row.round && other.name == first)?;
        Some(first.speed()? / row.speed()?)
    };
    let cost = |cost: fn(&Row) -> f64| median(good.iter().map(|row| cost(row)));
    vec![
        name.to_owned(),
        whole(median(speeds())),
        shown(median(good.iter().filter_map(of_round)), 2),
        whole(speeds().fold(f64::NAN, f64::min)),
        whole(speeds().fold(f64::NAN, f64::max)),
        shown(cost(|row| row.cpu_us), 2),
        shown(cost(|row| row.peak_rss_mb), 0),
        shown(cost(|row| row.redis_command_us), 2),
        shown(cost(|row| row.redis_cpu_us), 2),
        shown(cost(|row| row.redis_bytes), 0),
        if good.len() == own.len() {
            own.len().to_string()
        } else {
            format!("{} of {}", good.len(), own.len())
        },
    ]
}

fn shown(number: f64, decimals: usize) -> String {
    if number.is_finite() { format!("{number:.decimals$}") } else { "–".to_owned() }
}

/// The one in the middle; not a number where there is none.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    match (numbers.len(), numbers.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 0 => f64::midpoint(numbers[middle - 1], numbers[middle]),
        (_, middle) => numbers[middle],
    }
}

/// With commas between thousands.
fn whole(number: f64) -> String {
    let digits = shown(number, 0);
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    parts.join(",")
}
