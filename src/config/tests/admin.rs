use super::*;

const TOKEN: &str = "0123456789abcdef";

#[test]
fn without_a_token_there_is_none_and_the_address_is_of_this_machine() {
    let settings = load_text("", &[]).unwrap().settings;
    assert_eq!(settings.admin.token, None);
    assert_eq!(settings.admin.listen, Some("127.0.0.1:9465".parse().unwrap()));
    assert_eq!(load_text("admin.listen = \"off\"", &[]).unwrap().settings.admin.listen, None);
}

#[test]
fn a_token_that_could_be_guessed_or_sent_by_nobody_is_refused_unseen() {
    for token in ["hunter2", "0123456789abcde", "sixteen and more, with spaces", "sechzehn-Zeichen-größer"]
    {
        let problems = problems_of(&format!("[admin]\ntoken = \"{token}\""), &[]);
        let start = "admin.token = *** (default.toml:2): allowed are 16 and more visible characters of ASCII";
        assert!(problems.len() == 1 && problems[0].starts_with(start), "{problems:?}");
    }
    let loaded = load_text("", &[("ONCEWISE__ADMIN__TOKEN", TOKEN)]).unwrap();
    assert_eq!(loaded.settings.admin.token, Some(Secret::new(TOKEN)));
    assert!(!format!("{loaded:?}{}", loaded.settings.render()).contains(TOKEN));
}

#[test]
fn a_token_that_others_may_read_on_its_way_is_worth_a_warning() {
    let everywhere = ("ONCEWISE__ADMIN__LISTEN", "0.0.0.0:9465");
    let warnings =
        |environment: &[(&str, &str)]| load_text("", environment).unwrap().settings.warnings.join("\n");
    let token = ("ONCEWISE__ADMIN__TOKEN", TOKEN);
    assert!(
        warnings(&[everywhere, token]).contains("admin.listen = \"0.0.0.0:9465\" is not of this machine")
    );
    assert!(!warnings(&[everywhere]).contains("admin"));
    assert!(!warnings(&[token]).contains("admin"));
}
