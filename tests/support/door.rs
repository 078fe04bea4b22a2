//! A door that handlers wait at until a test opens it, so that no test has to be quicker than a handler.

use std::path::PathBuf;

/// Shut, until it is opened; the same for every pod of a recipe.
#[derive(Debug, Clone)]
pub struct Door {
    path: PathBuf,
}

impl Door {
    /// The door of this name in a folder.
    pub fn at(path: impl Into<PathBuf>) -> Door {
        Door { path: path.into() }
    }

    /// What goes into an event behind its id, for its handler to wait here.
    pub fn order(&self) -> String {
        format!(r#","door":"{}""#, self.path.to_str().expect("a path in UTF-8"))
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        std::fs::write(&self.path, "").expect("the door opened");
    }
}
