//! [`print_pages`]: what a program shows that has fetched pages.

use super::Url;
use std::io::{self, Write};
use std::process::ExitCode;
use tulipa::Exception;

/// Prints the pages on stdout, and on stderr why there is none for a URL. The exit code says whether
/// there are all.
///
/// # Errors
/// If the output cannot be written: nobody else has the pages.
pub fn print_pages(
    urls: &[Url],
    pages: impl IntoIterator<Item = Result<serde_json::Value, Exception>>,
) -> Result<ExitCode, Exception> {
    let mut stdout = io::stdout().lock();
    let mut exit_code = ExitCode::SUCCESS;
    for (url, page) in urls.iter().zip(pages) {
        match page {
            Ok(value) => writeln!(stdout, "{}", serde_json::to_string_pretty(&value)?)?,
            Err(error) => {
                exit_code = ExitCode::FAILURE;
                eprintln!("{url}: {error:?}");
            }
        }
    }
    stdout.flush()?;
    Ok(exit_code)
}
