//! The report as a table.

use comfy_table::{ContentArrangement, Table, presets};

use super::{Finding, State};

/// The findings as a table, then what to do, then one line that sums up. `width` is the terminal's, in characters; without one
/// the table is plain ASCII and its lines are as long as they need to be, for files and pipes.
#[must_use]
pub fn render(findings: &[Finding], width: Option<u16>) -> String {
    let mut table = Table::new();
    match width {
        Some(width) => table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width),
        None => {
            table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled)
        }
    };
    table.set_header(["", "looked at", "found"]);
    for Finding { subject, state, found, .. } in findings {
        table.add_row([&state.to_string(), subject, found]);
    }
    // Beside the table, where a command is not broken into pieces.
    let mut advice: Vec<_> = findings
        .iter()
        .filter_map(|Finding { subject, advice, .. }| Some(format!("- {subject}: {}\n", advice.as_ref()?)))
        .collect();
    advice.dedup();
    let heading = if advice.is_empty() { "" } else { "\nWhat to do:\n" };
    format!("{table}\n{heading}{}\n{}\n", advice.concat(), summary(findings))
}

fn summary(findings: &[Finding]) -> String {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let plural = |count, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (count(State::Problem), count(State::Warning)) {
        (0, 0) => "everything is fine".to_owned(),
        (0, warnings) => plural(warnings, "warning"),
        (problems, warnings) => format!("{}, {}", plural(problems, "problem"), plural(warnings, "warning")),
    }
}

/// The width of the terminal that standard output goes to, if it goes to one.
#[must_use]
pub fn terminal_width() -> Option<u16> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| terminal.size_checked()).flatten().map(|(_, columns)| columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::fine("Kafka", "1 broker"),
            Finding::problem("topic orders.created", "it does not exist ".repeat(9), "create it ".repeat(20)),
            Finding::warning("store memory", "90 % of its limit", "more memory"),
        ]
    }

    #[test]
    fn without_a_terminal_it_is_ascii_with_one_row_for_each_finding() {
        let text = render(&findings(), None);
        assert!(text.is_ascii(), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), 2 + 3, "{text}");
        assert!(text.ends_with("1 problem, 1 warning\n"), "{text}");
    }

    #[test]
    fn on_a_terminal_the_table_is_not_wider_and_commands_stay_whole() {
        for width in [40, 60, 80, 120] {
            let text = render(&findings(), Some(width));
            let (table, advice) = text.split_once("What to do:").expect("advice");
            let widest = table.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= usize::from(width), "{widest} > {width}:\n{text}");
            assert!(advice.contains(&"create it ".repeat(20)), "{text}");
        }
    }

    #[test]
    fn the_sum_names_only_what_there_is() {
        assert!(render(&[Finding::fine("Kafka", "1 broker")], None).ends_with("everything is fine\n"));
        assert!(render(&findings()[2..], None).ends_with("\n1 warning\n"));
    }
}
