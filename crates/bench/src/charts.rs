//! Charts of what was recorded, as SVG files that stand by themselves: on white, so that they can be read on a dark
//! page too, and in colours that can be told apart with weak eyes for colours.

mod bars;
mod canvas;
mod curves;
mod overview;
mod panels;
mod scale;

use crate::record::Recording;
use crate::report::{Better, CHAPTERS, Chapter, Chart, Ratio, Windows};
use std::path::{Path, PathBuf};
use tulipa::Exception;

/// Draws all charts for which there are figures, into `folder`, which is made if it is not there. Gives the files.
///
/// # Errors
/// If a file cannot be written.
pub fn draw(recording: &Recording, folder: &Path) -> Result<Vec<PathBuf>, Exception> {
    std::fs::create_dir_all(folder)?;
    let mut files = Vec::new();
    let mut write = |name: &str, chart: Option<String>| -> Result<(), Exception> {
        if let Some(chart) = chart {
            let path = folder.join(format!("{name}.svg"));
            std::fs::write(&path, chart)?;
            files.push(path);
        }
        Ok(())
    };
    for Chapter { suite, title, chart, .. } in CHAPTERS {
        let windows = Windows::of(&recording.records, suite);
        match *chart {
            Some(Chart::Ratio(ratio)) => {
                if windows.cases.len() > 1 {
                    write(&format!("{suite}-overview"), overview::draw(&windows, title, ratio)?)?;
                }
                write(suite, panels::draw(&windows, title, ratio)?)?;
            }
            Some(Chart::Bars(figure)) => write(suite, bars::draw(&windows, title, figure)?)?,
            Some(Chart::Growth { over }) => write(suite, curves::draw(&windows, title, over)?)?,
            None => {}
        }
    }
    Ok(files)
}

/// What a chart of ratios says about them.
fn caption(Ratio { figure, baseline, better }: Ratio) -> String {
    let good = match better {
        Better::Lower => "left of the line is cheaper",
        Better::Higher => "right of the line is faster",
    };
    format!("{}, divided by that of {baseline}: {good}", figure.name)
}

#[cfg(test)]
mod tests;
