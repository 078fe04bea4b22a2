//! A page whose commands are run one after the other, as somebody does who reads it.

use std::collections::VecDeque;

use crate::{
    pages::{blocks, guide, root},
    shell::Shell,
};

/// What is left of a page.
pub(crate) struct Page {
    name: String,
    commands: VecDeque<String>,
    instead: Vec<(String, String)>,
    pub(crate) shell: Shell,
}

impl Page {
    /// The page of this name, from its first command on.
    pub(crate) fn of(name: &str, shell: Shell) -> Page {
        let mut pages = guide().into_iter().chain([root().join("README.md")]);
        let path =
            pages.find(|page| page.ends_with(name)).unwrap_or_else(|| panic!("no page is called {name}"));
        let blocks = blocks(&path).into_iter().filter(|(language, _)| language == "sh");
        // A command may go on in the next line.
        let blocks = blocks.map(|(_, lines)| lines.replace("\\\n", ""));
        let lines = blocks.flat_map(|lines| lines.lines().map(str::to_owned).collect::<Vec<_>>());
        let commands = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        Page { name: name.to_owned(), commands, instead: Vec::new(), shell }
    }

    /// Where the page says `this`, which is another one here.
    pub(crate) fn with(mut self, this: &str, here: &str) -> Page {
        self.instead.push((this.to_owned(), here.to_owned()));
        self
    }

    /// The next command of the page begins so, ends well, and shows all of these texts. All that it shows.
    pub(crate) async fn runs(&mut self, command: &str, texts: &[&str]) -> String {
        let line = self.next(command);
        let (code, said) = self.shell.run(&line).await;
        let name = &self.name;
        assert_eq!(code, 0, "{name}: {line}\n{said}");
        for text in texts {
            assert!(said.contains(text), "{name}: {line}\nshows no {text:?}:\n{said}");
        }
        said
    }

    /// The next command begins so, and works until the page starts another or ends, when it is told to stop as by Ctrl-C.
    pub(crate) async fn goes_on(&mut self, command: &str) {
        let line = self.next(command);
        self.shell.start(&line).await;
    }

    /// The next command begins so and cannot be run here; the reason is for whoever reads the test.
    pub(crate) fn leaves(&mut self, command: &str, _reason: &str) {
        self.next(command);
    }

    /// Nothing is left of the page, and what it has started ends well.
    pub(crate) async fn ends(mut self) {
        assert!(self.commands.is_empty(), "{}: nobody has run {:#?}", self.name, self.commands);
        self.shell.stop().await;
    }

    fn next(&mut self, command: &str) -> String {
        let line = self.commands.pop_front().unwrap_or_default();
        // How commands of a block are aligned does not matter.
        let aligned = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_next = !line.is_empty() && aligned.starts_with(command);
        assert!(is_next, "{}: the next command is not {command:?} but {line:?}", self.name);
        self.instead.iter().fold(line, |line, (this, here)| line.replace(this, here))
    }
}
