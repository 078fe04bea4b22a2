//! The shop's worker.

use std::process::ExitCode;

fn main() -> ExitCode {
    oncewise::App::new(|config| async move { handlers::services(&config).await })
        .demo(handlers::demo())
        .produce(handlers::produce())
        .main()
}
