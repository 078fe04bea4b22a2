//! What a project may be called.

/// Longer names do not fit everywhere: the consumer group's is a part of topics'.
const LONGEST: usize = 64;

/// What Cargo, the compiler or the project itself means by something else.
const TAKEN: [&str; 15] = [
    "alloc",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "oncewise",
    "proc-macro",
    "proc_macro",
    "self",
    "serde",
    "std",
    "super",
    "test",
    "tokio",
];

/// The name, or what is wrong with it and what is allowed.
pub(super) fn check(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || !name.chars().all(legal) || name.len() > LONGEST {
        return Err(format!(
            "new {name:?}: allowed are a-z, 0-9, - and _, beginning with a letter, {LONGEST} at most, such as \"invoices\""
        ));
    }
    if TAKEN.contains(&name) || is_keyword(name) {
        return Err(format!(
            "new {name:?}: that means something else to Rust or Cargo; allowed is any other name"
        ));
    }
    Ok(())
}

/// Words that no crate can be called.
fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &str = " abstract as async await become box break const continue crate do dyn else enum extern \
        false final fn for gen if impl in let loop macro match mod move mut override priv pub ref return static struct \
        trait true try type typeof unsafe unsized use virtual where while yield ";
    KEYWORDS.contains(&format!(" {name} "))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_are_those_of_crates_and_of_groups() {
        for name in ["invoices", "a", "order-mails", "v2_mails"] {
            assert_eq!(check(name), Ok(()));
        }
        let long = "a".repeat(65);
        for name in ["", "2fast", "-a", "Invoices", "in voices", "a.b", "über", "../x", &long] {
            assert!(check(name).unwrap_err().contains("allowed are a-z"), "{name}");
        }
        for name in ["serde", "oncewise", "test", "match", "deps"] {
            assert!(check(name).unwrap_err().contains("something else"), "{name}");
        }
    }
}
