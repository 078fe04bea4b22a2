//! A verb that there is not is answered with those that there are.

use clap::{
    CommandFactory, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::args::Args;

/// The command line of this process, or the end of it with what is wrong.
pub(super) fn parse() -> Args {
    Args::try_parse().unwrap_or_else(|error| with_verbs(error).exit())
}

fn with_verbs(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand {
        let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
        let there_are = format!("there are {}", verbs(&usage).join(", "));
        drop(error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![there_are.into()])));
    }
    error
}

/// The verbs of the command that this usage is of: of all words of the command line it alone says which are verbs.
fn verbs(usage: &str) -> Vec<String> {
    let args = Args::command();
    let mut command = &args;
    for word in usage.split_whitespace() {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_verb_is_answered_with_the_nearest_and_with_all_that_there_are() {
        let said = |words: &[&str]| {
            let args = [&["worker"], words].concat();
            with_verbs(Args::try_parse_from(args).unwrap_err()).to_string()
        };
        let pause = said(&["--profile", "dedupe", "pasue"]);
        for has in ["'pasue'", "'pause'", "there are run, demo, check, ", ", pause, resume, status"] {
            assert!(pause.contains(has), "{has} in {pause}");
        }
        let list = said(&["dead-letters", "lst"]);
        for has in ["'lst'", "'list'", "there are list, show, groups, redrive, discard, status"] {
            assert!(list.contains(has), "{has} in {list}");
        }
        let flag = said(&["run", "--servce", "orders"]);
        assert!(flag.contains("'--service'") && !flag.contains("there are"), "{flag}");
    }
}
