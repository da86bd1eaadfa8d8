//! The musubi command line.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match musubi::cli::run(musubi::cli::Cli::read()).await {
        Ok(code) => code,
        Err(error) => {
            let text = format!("{error:#}");
            // Problems with resources are printed as a list, each with its own mark.
            let mark = if text.starts_with("error: ") {
                ""
            } else {
                "error: "
            };
            eprintln!("{mark}{text}");
            let code = error.downcast_ref::<musubi::cli::Interrupted>();
            // At once: what other threads are at is never half seen, and nobody waits for it.
            std::process::exit(code.map_or(1, |signal| signal.code))
        }
    }
}
