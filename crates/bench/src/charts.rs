//! Charts of what was recorded, as SVG files that stand by themselves: on white, so that they can be read on a dark
//! page too, and in colours that can be told apart with weak eyes for colours.

mod bars;
mod canvas;
mod curves;
mod overview;
mod panels;
mod scale;

use crate::record::Recording;
use crate::report::{Better, CHAPTERS, FigureKind, Show, Windows};
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
    for chapter in CHAPTERS {
        let windows = Windows::of(&recording.records, chapter.suite);
        match chapter.shows.first() {
            Some(Show::Ratio { figure, baseline, better }) => {
                let ratios = Ratios { figure: *figure, baseline, better: *better };
                if windows.cases.len() > 1 {
                    let name = format!("{}-overview", chapter.suite);
                    write(&name, overview::draw(&windows, chapter.title, ratios)?)?;
                }
                write(chapter.suite, panels::draw(&windows, chapter.title, ratios)?)?;
            }
            Some(Show::Least(figure)) => {
                write(chapter.suite, bars::draw(&windows, chapter.title, *figure)?)?
            }
            Some(Show::Growth) => write(chapter.suite, curves::draw(&windows, chapter.title)?)?,
            Some(Show::Median(_)) | None => {}
        }
    }
    Ok(files)
}

/// What a chart of ratios shows.
#[derive(Clone, Copy, Debug)]
struct Ratios {
    figure: FigureKind,
    baseline: &'static str,
    better: Better,
}

impl Ratios {
    fn caption(&self) -> String {
        let good = match self.better {
            Better::Lower => "left of the line is cheaper",
            Better::Higher => "right of the line is faster",
        };
        format!("{}, divided by that of {}: {good}", self.figure.name, self.baseline)
    }
}

#[cfg(test)]
mod tests;
