//! What became of a demo's records.

use comfy_table::{CellAlignment, Table, presets};

use crate::{check, telemetry::metrics::Totals};

/// One row for each service. Outcomes that no service had are left out, unless they are those that every demo shows.
pub(super) fn of(rows: &[(&str, Totals)]) -> Table {
    let shown: Vec<Column> = COLUMNS
        .into_iter()
        .filter(|column| column.always || rows.iter().any(|(_, totals)| (column.count)(totals) > 0))
        .collect();
    let mut table = Table::new();
    let style = if check::terminal_width().is_some() {
        presets::UTF8_FULL_CONDENSED
    } else {
        presets::ASCII_MARKDOWN
    };
    table
        .load_style(style)
        .set_header(std::iter::once("service").chain(shown.iter().map(|column| column.name)));
    for (name, totals) in rows {
        let counts = shown.iter().map(|column| (column.count)(totals).to_string());
        table.add_row(std::iter::once((*name).to_owned()).chain(counts));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

struct Column {
    name: &'static str,
    count: fn(&Totals) -> u64,
    always: bool,
}

const COLUMNS: [Column; 7] = [
    Column { name: "consumed", count: |totals| totals.consumed, always: true },
    Column { name: "done", count: |totals| totals.done, always: true },
    Column { name: "skipped", count: |totals| totals.skipped, always: false },
    Column { name: "duplicates", count: |totals| totals.duplicate, always: true },
    Column { name: "deferred", count: |totals| totals.deferred, always: false },
    Column { name: "dead-lettered", count: |totals| totals.dead_lettered, always: true },
    Column { name: "attempts", count: |totals| totals.attempts, always: true },
];
