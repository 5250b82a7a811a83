//! The project's automation, one subcommand a task.
fn main() -> anyhow::Result<()> {
    Ok(())
}
