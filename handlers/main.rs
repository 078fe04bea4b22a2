//! The shop's worker.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Millions of small texts a minute are made in one thread and freed in another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    oncewise::App::new(|config| async move { handlers::services(&config).await })
        .demo(handlers::demo())
        .produce(handlers::produce())
        .main()
}
